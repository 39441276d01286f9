"""Messages that several commands print."""

from collections.abc import Sequence

import click

from aqueue.cli.output import say
from aqueue.model.run import Run

_SHOWN = 5


def note(text: str | None) -> None:
    """Tell a person something on standard error, if there is anything to tell."""
    if text is not None:
        say(text, err=True)


def say_warning(text: str) -> None:
    """Tell a person what they may not have meant."""
    say(text, err=True, head=click.style("warning: ", fg="yellow"))


def say_what_hangs_on(count: int, dependents: Sequence[Run]) -> None:
    """Tell a person what was aborted together with `count` runs, because it came after them."""
    if dependents:
        say(f"{listed(dependents)} after {'it' if count == 1 else 'them'}: aborted with that", err=True)


def listed(runs: Sequence[Run]) -> str:
    """Return the runs, as the beginning of a sentence that goes on with `after`."""
    named = ", ".join(f"{run.id} {run.name}" for run in runs[:_SHOWN])
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return f"run {named} comes" if len(runs) == 1 else f"runs {named}{more} come"
