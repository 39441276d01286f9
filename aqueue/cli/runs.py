"""The commands that change runs."""

from collections.abc import Sequence

import click

from aqueue.cli.context import find_folder
from aqueue.cli.messages import named_runs, print_aborted, print_warning
from aqueue.cli.options import DURATION, directory_option
from aqueue.cli.output import note, report
from aqueue.cli.selection import confirm, is_asked, report_changed, selection_options, yes_option
from aqueue.client import actions, pruning
from aqueue.client.actions import CANCELLABLE, RETRIABLE
from aqueue.client.selection import Selection
from aqueue.model.basics import NO_SERVER
from aqueue.model.run import Run, State
from aqueue.units import counted, plural

_MUCH = 16 << 20
"""The number of reserved bytes from which a note is printed."""


@click.command()
@directory_option
@selection_options(*CANCELLABLE)
@yes_option
def cancel(directory: str | None, selection: Selection, is_sure: bool) -> None:
    """Cancel runs: stop running ones, and remove queued ones from their queue.

    Runs that wait for them with `after` or `needs` are aborted, too. On a terminal, it asks before it stops more
    than a few running ones that are not named one by one.
    """
    folder = find_folder(directory)
    if is_asked(selection, is_sure=is_sure):
        runs = actions.preview(folder, selection, CANCELLABLE)
        running = [run for run in runs if run.state is State.RUNNING]
        others = len(runs) - len(running)
        and_others = f" and cancel {counted(others, 'other')}" if others else ""
        confirm(f"stop {counted(len(running), 'running run')}{and_others}?", running)
    cancelled = actions.cancel(folder, selection)
    if cancelled.is_without_room:
        _note_stopped(cancelled.runs)
        return
    report_changed("cancelled", cancelled.runs, selection, CANCELLABLE)
    for state in (State.SUCCEEDED, State.FAILED):
        if back := [run for run, now in zip(cancelled.runs, cancelled.states, strict=True) if now is state]:
            its = plural(len(back), "its", "their")
            note(f"{named_runs(back)} {plural(len(back), 'is', 'are')} {state} again: {its} retry was cancelled")
    if State.RUNNING in cancelled.states and not cancelled.is_served:
        note(f"{NO_SERVER}: running tasks are stopped once you run `aqueue serve`")
    print_aborted(len(cancelled.runs), cancelled.dependents)


@click.command()
@directory_option
@selection_options(*RETRIABLE)
@click.option("--edit", "is_edited", is_flag=True, help="Change the task in $EDITOR first; for a single run.")
def retry(directory: str | None, selection: Selection, is_edited: bool) -> None:
    """Queue finished runs again, as new attempts."""
    folder = find_folder(directory)
    if is_edited:
        # Imported here: few retries are edited.
        from aqueue.cli.edit import edit_in_editor

        edit_in_editor(folder, selection, is_retry=True)
        return
    retried = actions.retry(folder, selection, print_warning)
    report_changed("retried", retried.runs, selection, RETRIABLE)
    note(retried.unserved)
    if retried.others:
        them = plural(len(retried.runs), "it", "them")
        note(f"{named_runs(retried.others)} {plural(len(retried.others), 'waits', 'wait')} for {them} again")


@click.command()
@directory_option
@selection_options(State.QUEUED)
def hold(directory: str | None, selection: Selection) -> None:
    """Keep queued runs from starting until `aqueue release`."""
    report_changed("held", actions.hold(find_folder(directory), selection), selection, [State.QUEUED])


@click.command()
@directory_option
@selection_options(State.HELD)
def release(directory: str | None, selection: Selection) -> None:
    """Let held runs start."""
    released = actions.release(find_folder(directory), selection)
    report_changed("released", released.runs, selection, [State.HELD])
    note(released.unserved)


@click.command()
@directory_option
@selection_options(*RETRIABLE, needs_runs=False)
@click.option(
    "--keep",
    type=DURATION,
    help="Keep runs that ended within this time (default: 0 for chosen runs, else `history.keep` in aqueue.yaml).",
)
@yes_option
def prune(directory: str | None, selection: Selection | None, keep: float | None, is_sure: bool) -> None:
    """Delete finished runs and their files: the old ones, or those that are chosen.

    A server deletes the old ones by itself once a day. On a terminal, it asks before it deletes more than a few
    chosen runs that are not named one by one.
    """
    folder = find_folder(directory)
    if selection is not None and is_asked(selection, is_sure=is_sure):
        runs = pruning.to_prune(folder, keep, selection)
        confirm(f"delete {counted(len(runs), 'run')} and their files?", runs)
    pruned = pruning.prune(folder, keep, print_warning, selection)
    report(f"{counted(pruned.runs, 'run')} deleted")
    if pruned.bytes_left >= _MUCH:
        how = "; to free it, run `aqueue prune` while no server is running" if pruned.is_served else ""
        note(f"{pruned.bytes_left >> 20} MiB of {pruned.database} stay reserved for later runs{how}")


def _note_stopped(runs: Sequence[Run]) -> None:
    are = plural(len(runs), "is", "are")
    note(f"the disk is full: {named_runs(runs)} {are} stopped anyway, and shown as stopped once there is room")
