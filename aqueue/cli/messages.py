"""Messages that several commands print."""

from collections.abc import Sequence

import click

from aqueue.cli.output import say
from aqueue.model.run import Run
from aqueue.units import named, plural

_MAX_NAMED = 5


def print_warning(text: str) -> None:
    """Print a warning to standard error."""
    say(text, err=True, head=click.style("warning: ", fg="yellow"))


def print_aborted(count: int, dependents: Sequence[Run]) -> None:
    """Print which runs were aborted because they waited for `count` others."""
    if dependents:
        them, were = plural(count, "it", "them"), plural(len(dependents), "was", "were")
        say(f"{named_runs(dependents)} waited for {them} and {were} aborted", err=True)


def named_runs(runs: Sequence[Run]) -> str:
    """Return the first of some runs by id and name, and how many more there are."""
    return named("run", [f"{run.id} {run.name}" for run in runs], _MAX_NAMED)
