"""The verbs that change runs."""

import functools
from collections.abc import Sequence
from typing import Any, cast

import click

from aqueue.cli.completion import complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import listed, note, say_warning, say_what_hangs_on
from aqueue.cli.options import DURATION, F, directory_option
from aqueue.cli.output import report
from aqueue.client import actions, pruning
from aqueue.client.actions import Which
from aqueue.model.run import Run, State
from aqueue.units import counted

_SHOWN = 5

_MUCH = 16 << 20
"""The number of bytes not given back that is worth a word."""


def _runs_or_group(command: F) -> F:
    """Give a command the runs it is about, as `which`; some must be named, or a group."""

    @functools.wraps(command)
    def checked(*, runs: tuple[str, ...], group: str | None, **others: Any) -> Any:
        if not runs and group is None:
            raise click.UsageError("say which: RUN…, or --group NAME")
        return command(which=Which(runs, group), **others)

    argument = click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
    return cast("F", argument(group_option(checked)))


@click.command()
@directory_option
@_runs_or_group
def cancel(directory: str | None, which: Which) -> None:
    """Stop runs, or take them off the queue, and with them what comes after them."""
    cancelled = actions.cancel(find_folder(directory), which)
    _say_if_none(cancelled.runs, which)
    if cancelled.is_without_room:
        _say_stopped(cancelled.runs)
        return
    for run, state in zip(cancelled.runs, cancelled.states, strict=True):
        if state in (State.SUCCEEDED, State.FAILED):
            note(f"run {run.id} is {state} again: its retry was taken back")
    if State.RUNNING in cancelled.states and not cancelled.is_served:
        note("no server is up: what runs is stopped when `aqueue serve` starts one")
    say_what_hangs_on(len(cancelled.runs), cancelled.dependents)


@click.command()
@directory_option
@_runs_or_group
@click.option("--failed", is_flag=True, help="Only those that failed.")
def retry(directory: str | None, which: Which, failed: bool) -> None:
    """Queue runs that are over once more, as new attempts."""
    retried = actions.retry(find_folder(directory), which, say_warning, only_failed=failed)
    if not retried.runs and which.written:
        note("nothing to do: none of them has failed")
        return
    _say_if_none(retried.runs, which)
    note(retried.unserved)
    if retried.others:
        again = "waits" if len(retried.others) == 1 else "wait"
        note(f"{listed(retried.others)} after that, and {again} again")


@click.command()
@directory_option
@_runs_or_group
def hold(directory: str | None, which: Which) -> None:
    """Keep queued runs from starting."""
    _say_if_none(actions.hold(find_folder(directory), which), which)


@click.command()
@directory_option
@_runs_or_group
def release(directory: str | None, which: Which) -> None:
    """Release held runs."""
    released = actions.release(find_folder(directory), which)
    _say_if_none(released.runs, which)
    note(released.unserved)


@click.command()
@directory_option
@click.option("--keep", type=DURATION, help="Keep runs that ended more recently; default: as configured, 30d.")
def prune(directory: str | None, keep: float | None) -> None:
    """Forget runs that were over long ago, and remove their files."""
    pruned = pruning.prune(find_folder(directory), keep, say_warning)
    report(f"{counted(pruned.runs, 'run')} forgotten")
    if pruned.bytes_left >= _MUCH:
        how = "; `aqueue prune` while no server is up gives them back" if pruned.is_served else ""
        note(f"{pruned.bytes_left >> 20} MiB of {pruned.database} are kept for later runs{how}")


def _say_if_none(runs: Sequence[Run], which: Which) -> None:
    if not runs:
        note(f"nothing to do: no run of group {which.group} is in such a state")


def _say_stopped(runs: Sequence[Run]) -> None:
    which = ", ".join(f"{run.id} {run.name}" for run in runs[:_SHOWN]) + (" …" if len(runs) > _SHOWN else "")
    runs_are = f"run {which} is" if len(runs) == 1 else f"runs {which} are"
    note(f"the disk is full: {runs_are} stopped all the same, and shown so once there is room")
