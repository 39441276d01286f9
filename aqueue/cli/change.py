"""The verbs that change runs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import click

from aqueue.cli.completion import complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import listed, note, say_warning, say_what_hangs_on
from aqueue.cli.options import DURATION, F, directory_option
from aqueue.cli.output import report, say
from aqueue.client import pruning
from aqueue.client.prospects import unserved
from aqueue.client.session import (
    changing,
    config_in_force,
    config_or_default,
    forget_unused_code,
    living_servers,
    newest_of_each,
    now,
    opened,
    refuse_if_disabled,
    resolve_all,
)
from aqueue.client.without_room import cancel_without_room
from aqueue.errors import DiskFullError, RunError
from aqueue.model.run import ENDED, Run, State
from aqueue.store import database, vacuum
from aqueue.store.lifecycle import Store

T = TypeVar("T")

_SHOWN = 5

_SERVED_SECONDS = 0.05
"""About how long a server may be kept from its database, for once."""

_UNSERVED_SECONDS = 3.0
"""The same while no server is up, but one may come: it would wait for longer than that."""

_MUCH = 16 << 20
"""How many bytes that could not be given back are worth a word."""


def _runs_or_group(command: F) -> F:
    """Give a command the runs it is about, as `runs` and `group`; one of them must be given."""

    @functools.wraps(command)
    def checked(*, runs: tuple[str, ...], group: str | None, **others: Any) -> Any:
        if not runs and group is None:
            raise click.UsageError("say which: RUN…, or --group NAME")
        return command(runs=runs, group=group, **others)

    argument = click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
    return cast("F", argument(group_option(checked)))


@click.command()
@directory_option
@_runs_or_group
def cancel(directory: str | None, runs: tuple[str, ...], group: str | None) -> None:
    """Stop runs, or take them off the queue, and with them what comes after them."""
    folder = find_folder(directory)
    chosen: list[Run] = []
    try:
        with changing(folder) as store:
            chosen = _chosen(store, runs, group, lambda run: run.state not in ENDED)
            before = store.dependents(chosen)
            cancelled = _each(chosen, lambda run: _cancel(store, run))
            again = [run for run, state in zip(chosen, cancelled, strict=True) if state is State.SUCCEEDED]
            spared = {run.id for run in before if store.get(run.id) == run} if again else set()
            dependents = [run for run in before if run.id not in spared]
            is_served = bool(living_servers(store, folder))
    except DiskFullError as error:
        _say_stopped(cancel_without_room(folder, chosen, error))
        return
    for run, state in zip(chosen, cancelled, strict=True):
        if state in (State.SUCCEEDED, State.FAILED):
            say(f"run {run.id} is {state} again: its retry was taken back", err=True)
    if State.RUNNING in cancelled and not is_served:
        say("no server is up: what runs is stopped when `aqueue serve` starts one", err=True)
    say_what_hangs_on(len(chosen), dependents)


@click.command()
@directory_option
@_runs_or_group
@click.option("--failed", is_flag=True, help="Only those that failed.")
def retry(directory: str | None, runs: tuple[str, ...], group: str | None, failed: bool) -> None:
    """Queue runs that are over once more, as new attempts."""
    folder = find_folder(directory)
    refuse_if_disabled(config_or_default(folder, say_warning))
    wanted = [State.FAILED] if failed else ENDED
    with changing(folder) as store:
        chosen = _chosen(store, runs, group, lambda run: run.state in wanted, only_newest=True)
        if failed and chosen:
            chosen = [run for run in chosen if run.state is State.FAILED]
            if not chosen:
                say("nothing to do: none of them has failed", err=True)
        if not chosen:
            return
        try:
            store.retry(chosen)
        except RunError as error:
            raise _nothing_changed(error, chosen) from None
        back = map(store.get, sorted(store.let_go - {run.id for run in chosen}))
        others = [run for run in back if run is not None]
        note(unserved(store, folder))
    if others:
        say(f"{listed(others)} after that, and {'waits' if len(others) == 1 else 'wait'} again", err=True)


@click.command()
@directory_option
@_runs_or_group
def hold(directory: str | None, runs: tuple[str, ...], group: str | None) -> None:
    """Keep queued runs from being started."""
    with changing(find_folder(directory)) as store:
        _each(_chosen(store, runs, group, lambda run: run.state is State.QUEUED), store.hold)


@click.command()
@directory_option
@_runs_or_group
def release(directory: str | None, runs: tuple[str, ...], group: str | None) -> None:
    """Let held runs go."""
    folder = find_folder(directory)
    with changing(folder) as store:
        _each(_chosen(store, runs, group, lambda run: run.state is State.HELD), store.release)
        note(unserved(store, folder))


@click.command()
@directory_option
@click.option("--keep", type=DURATION, help="Keep what was over more recently; default: as configured, 30d.")
def prune(directory: str | None, keep: float | None) -> None:
    """Forget runs that were over long ago, and remove their files."""
    folder = find_folder(directory)
    before = now() - (config_in_force(folder, say_warning).keep if keep is None else keep)
    with opened(folder) as connection:
        count = pruning.prune(connection, folder, before)
        folder.ring()
        folder.tell()
        with database.snapshot(connection, folder):
            is_served = bool(living_servers(Store(connection), folder))
        left = vacuum.give_back(connection, folder, _SERVED_SECONDS if is_served else _UNSERVED_SECONDS)
    forget_unused_code(folder, say_warning)
    report(f"{count} run{'' if count == 1 else 's'} forgotten")
    if left >= _MUCH:
        how = "; `aqueue prune` while no server is up gives them back" if is_served else ""
        say(f"{left >> 20} MiB of {folder.database} are kept for later runs{how}", err=True)


def _chosen(
    store: Store,
    written: tuple[str, ...],
    group: str | None,
    suits: Callable[[Run], bool],
    *,
    only_newest: bool = False,
) -> list[Run]:
    """The runs that were named, and those of a group that suit: of a group not all have to.

    Args:
        only_newest: of those of one name in the group only the one that was queued last is meant.
    """
    named = resolve_all(store, written)
    known = {run.id for run in named}
    if group is None:
        return named
    members = resolve_all(store, (), group)
    members = newest_of_each(members) if only_newest else members
    chosen = named + [run for run in members if run.id not in known and suits(run)]
    if not chosen:
        say(f"nothing to do: no run of group {group} is in such a state", err=True)
    return chosen


def _each(runs: Sequence[Run], change: Callable[[Run], T]) -> list[T]:
    """Change all of the runs, or none when one of them cannot be."""
    done = []
    for run in runs:
        try:
            done.append(change(run))
        except RunError as error:
            raise _nothing_changed(error, runs) from None
    return done


def _say_stopped(runs: Sequence[Run]) -> None:
    which = ", ".join(f"{run.id} {run.name}" for run in runs[:_SHOWN]) + (" …" if len(runs) > _SHOWN else "")
    runs_are = f"run {which} is" if len(runs) == 1 else f"runs {which} are"
    note(f"the disk is full: {runs_are} stopped all the same, and shown so once there is room")


def _cancel(store: Store, run: Run) -> State:
    # One that was cancelled before it may have changed it: one that it comes after.
    return store.cancel(store.get(run.id) or run, "cancelled", now())


def _nothing_changed(error: RunError, runs: Sequence[Run]) -> RunError:
    return RunError(f"{error.message}; nothing was changed", error.hint) if len(runs) > 1 else error
