"""The commands that change runs."""

import functools
from collections.abc import Sequence
from typing import Any, cast

import click

from aqueue.cli.completion import complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import named_runs, print_aborted, print_warning
from aqueue.cli.options import DURATION, F, directory_option
from aqueue.cli.output import note, report
from aqueue.client import actions, pruning
from aqueue.client.actions import Which
from aqueue.model.basics import NO_SERVER
from aqueue.model.run import Run, State
from aqueue.units import counted, plural

_MUCH = 16 << 20
"""The number of reserved bytes from which a note is printed."""


def _runs_or_group(command: F) -> F:
    """Give a command the runs that it works on, as `which`; runs or a group must be named."""

    @functools.wraps(command)
    def checked(*, runs: tuple[str, ...], group: str | None, **others: Any) -> Any:
        if not runs and group is None:
            raise click.UsageError("no runs are given\nname them, or use --group NAME")
        return command(which=Which(runs, group), **others)

    argument = click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
    return cast("F", argument(group_option("Include all runs in this group.")(checked)))


@click.command()
@directory_option
@_runs_or_group
def cancel(directory: str | None, which: Which) -> None:
    """Cancel runs: stop running ones, and remove queued ones from their queue.

    Runs that wait for them with `after` or `needs` are aborted, too.
    """
    cancelled = actions.cancel(find_folder(directory), which)
    _note_if_none(cancelled.runs, which)
    if cancelled.is_without_room:
        _note_stopped(cancelled.runs)
        return
    for run, state in zip(cancelled.runs, cancelled.states, strict=True):
        if state in (State.SUCCEEDED, State.FAILED):
            note(f"run {run.id} is {state} again: its retry was cancelled")
    if State.RUNNING in cancelled.states and not cancelled.is_served:
        note(f"{NO_SERVER}: running tasks are stopped once you run `aqueue serve`")
    print_aborted(len(cancelled.runs), cancelled.dependents)


@click.command()
@directory_option
@_runs_or_group
@click.option("--failed", is_flag=True, help="Retry only failed runs.")
def retry(directory: str | None, which: Which, failed: bool) -> None:
    """Queue finished runs again, as new attempts."""
    retried = actions.retry(find_folder(directory), which, print_warning, only_failed=failed)
    if not retried.runs and which.written:
        note("nothing to do: none of these runs failed")
        return
    _note_if_none(retried.runs, which)
    note(retried.unserved)
    if retried.others:
        them = plural(len(retried.runs), "it", "them")
        note(f"{named_runs(retried.others)} {plural(len(retried.others), 'waits', 'wait')} for {them} again")


@click.command()
@directory_option
@_runs_or_group
def hold(directory: str | None, which: Which) -> None:
    """Keep queued runs from starting until `aqueue release`."""
    _note_if_none(actions.hold(find_folder(directory), which), which)


@click.command()
@directory_option
@_runs_or_group
def release(directory: str | None, which: Which) -> None:
    """Let held runs start."""
    released = actions.release(find_folder(directory), which)
    _note_if_none(released.runs, which)
    note(released.unserved)


@click.command()
@directory_option
@click.option(
    "--keep",
    type=DURATION,
    help="Keep runs that ended within this time (default: `history.keep` in aqueue.yaml, or 30d).",
)
def prune(directory: str | None, keep: float | None) -> None:
    """Delete old finished runs and their files."""
    pruned = pruning.prune(find_folder(directory), keep, print_warning)
    report(f"{counted(pruned.runs, 'run')} deleted")
    if pruned.bytes_left >= _MUCH:
        how = "; to free it, run `aqueue prune` while no server is running" if pruned.is_served else ""
        note(f"{pruned.bytes_left >> 20} MiB of {pruned.database} stay reserved for later runs{how}")


def _note_if_none(runs: Sequence[Run], which: Which) -> None:
    if not runs:
        note(f"nothing to do: no run of group {which.group} is in such a state")


def _note_stopped(runs: Sequence[Run]) -> None:
    are = plural(len(runs), "is", "are")
    note(f"the disk is full: {named_runs(runs)} {are} stopped anyway, and shown as stopped once there is room")
