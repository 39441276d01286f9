"""The argument and the options that choose the runs that a command changes."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import click

from aqueue.cli.completion import complete_run_in, group_option, queue_option, tag_option
from aqueue.cli.messages import named_runs
from aqueue.cli.options import F
from aqueue.cli.output import note, report
from aqueue.client.selection import Selection
from aqueue.model.run import Run, State
from aqueue.units import counted, either, listed

_MAX_UNASKED = 5
"""The number of runs that a person may lose without being asked."""

_MAX_NAMED = 5


def selection_options(*states: State, needs_runs: bool = True, by_queue: bool = True) -> Callable[[F], F]:
    """Return a decorator that gives a command the runs that it works on, as `selection`.

    Args:
        states: the states that it works on runs in.
        needs_runs: whether runs must be chosen; otherwise `selection` is None if none are.
        by_queue: whether they can be chosen by their queue, with an option `--queue`.
    """

    def give(command: F) -> F:
        @functools.wraps(command)
        def with_selection(
            *,
            runs: tuple[str, ...],
            group: str | None,
            states: Sequence[str],
            queue: str | None = None,
            tag: str | None,
            is_all: bool,
            **others: Any,
        ) -> Any:
            if is_all and runs:
                raise click.UsageError("RUN and --all cannot be used together")
            selection = Selection(runs, group, is_all, tuple(map(State, states)), queue, tag)
            selection = selection._replace(is_all=is_all or (selection.narrows and not runs and group is None))
            is_chosen = selection != Selection()
            if needs_runs and not is_chosen:
                raise click.UsageError(_none_given(flags, by_queue=by_queue))
            return command(selection=selection if is_chosen else None, **others)

        flags = [*states]
        decorators = [
            click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run_in(*states)),
            group_option("Include all runs in this group."),
            *(
                click.option(
                    f"--{state}", "states", flag_value=str(state), multiple=True, help=f"Only {state} runs."
                )
                for state in states
            ),
            *([queue_option("Only runs in this queue.")] if by_queue else []),
            tag_option("Only runs with this tag: key=value, or key for any value."),
            click.option("--all", "is_all", is_flag=True, help=f"All {either(states)} runs."),
        ]
        with_options: Any = with_selection
        for decorator in reversed(decorators):
            with_options = decorator(with_options)
        return cast("F", with_options)

    return give


yes_option = click.option("--yes", "is_sure", is_flag=True, help="Do not ask before changing many runs.")
"""A decorator that gives a command the option `--yes`, as `is_sure`."""


def is_asked(selection: Selection, *, is_sure: bool) -> bool:
    """Return True if a person is to be asked before many runs are lost: never where nobody can answer."""
    return not is_sure and not selection.is_by_name and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, lost: Sequence[Run]) -> None:
    """Ask a question if more than a few runs would be lost.

    Raises:
        Exit: the answer is no.
    """
    if len(lost) > _MAX_UNASKED and not click.confirm(question, err=True):
        note("nothing was changed")
        raise click.exceptions.Exit(1)


def report_changed(done: str, runs: Sequence[Run], selection: Selection, fitting: Sequence[State]) -> None:
    """Print which runs were changed, or that there are none to change.

    Args:
        done: the past participle of the change.
        fitting: the states that runs are changed in.
    """
    if not runs:
        states = [state for state in selection.states or fitting if state in fitting]
        note(f"nothing to do: there are no {either(states)} runs among these")
    elif len(runs) > _MAX_NAMED:
        names = [f"{run.id} {run.name}" for run in runs]
        report(f"{done} {counted(len(runs), 'run')}: {listed(names, _MAX_NAMED)}")
    else:
        report(f"{done} {named_runs(runs)}")


def _none_given(states: Sequence[State], *, by_queue: bool) -> str:
    by_queue_too = ["-u QUEUE"] if by_queue else []
    options = ["--group NAME", *by_queue_too, "--tag TAG", *(f"--{state}" for state in states), "--all"]
    return f"no runs are given\nname them (42, 21-40, a name), or use {either(options)}"
