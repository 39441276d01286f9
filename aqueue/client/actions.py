"""Changing runs, queues and schedules: all that is asked for, or nothing."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeVar

from aqueue.client.prospects import unserved
from aqueue.client.session import (
    Warn,
    changing,
    config_or_default,
    living_servers,
    newest_of_each,
    now,
    refuse_if_disabled,
    resolve_all,
)
from aqueue.client.without_room import cancel_without_room
from aqueue.errors import DiskFullError, RunError
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Run, State
from aqueue.store.store import Store

T = TypeVar("T")

_NOT_OVER = frozenset(State) - ENDED


class Which(NamedTuple):
    """Runs that are named, and those of a group with which it can be done: not all of a group have to suit."""

    written: Sequence[str] = ()
    group: str | None = None


class Cancelled(NamedTuple):
    """The runs that were cancelled.

    Attributes:
        runs: as they were before.
        states: that they are in now; a run whose retry was taken back is as it was before that.
        dependents: that were aborted because they come after them.
        is_served: whether a server is up that stops those that run.
        is_without_room: whether the disk is full: they are stopped, and shown so once there is room.
    """

    runs: list[Run]
    states: list[State]
    dependents: list[Run]
    is_served: bool
    is_without_room: bool = False


class Retried(NamedTuple):
    """The runs that were queued once more.

    Attributes:
        runs: as they were before.
        others: that come after them, and wait again.
        unserved: why they wait for a server; None if one is there.
    """

    runs: list[Run]
    others: list[Run]
    unserved: str | None


class Released(NamedTuple):
    """The runs that were let go.

    Attributes:
        runs: as they were before.
        unserved: why they wait for a server; None if one is there.
    """

    runs: list[Run]
    unserved: str | None


def cancel(folder: Folder, which: Which) -> Cancelled:
    """Stop runs, or take them off the queue, and with them what comes after them.

    Raises:
        RunError: one is over, or does not exist.
    """
    chosen: list[Run] = []
    try:
        with changing(folder) as store:
            chosen = _chosen(store, which, _NOT_OVER)
            before = store.dependencies.dependents(chosen)
            states = _each(chosen, lambda run: _cancel(store, run))
            is_spared = State.SUCCEEDED in states
            spared = {run.id for run in before if store.runs.get(run.id) == run} if is_spared else set()
            dependents = [run for run in before if run.id not in spared]
            return Cancelled(chosen, states, dependents, bool(living_servers(store, folder)))
    except DiskFullError as error:
        stopped = cancel_without_room(folder, chosen, error)
        return Cancelled(stopped, [run.state for run in stopped], [], is_served=True, is_without_room=True)


def retry(folder: Folder, which: Which, warn: Warn, *, only_failed: bool = False) -> Retried:
    """Queue runs that are over once more, as new attempts; of those of one name in a group only the newest.

    Args:
        only_failed: only those that failed.
        warn: is told of an error in the configuration.

    Raises:
        RunError: one is not over, does not exist, or comes after one that did not succeed.
        QueueError: queues are disabled.
    """
    refuse_if_disabled(config_or_default(folder, warn))
    with changing(folder) as store:
        chosen = _chosen(store, which, {State.FAILED} if only_failed else ENDED, only_newest=True)
        if only_failed:
            chosen = [run for run in chosen if run.state is State.FAILED]
        if not chosen:
            return Retried([], [], None)
        try:
            store.lifecycle.retry(chosen)
        except RunError as error:
            raise _nothing_changed(error, chosen) from None
        back = map(store.runs.get, sorted(store.dependencies.restored - {run.id for run in chosen}))
        return Retried(chosen, [run for run in back if run is not None], unserved(store, folder))


def hold(folder: Folder, which: Which) -> list[Run]:
    """Keep queued runs from being started; returns them as they were.

    Raises:
        RunError: one is not queued, or does not exist.
    """
    with changing(folder) as store:
        chosen = _chosen(store, which, {State.QUEUED})
        _each(chosen, store.lifecycle.hold)
        return chosen


def release(folder: Folder, which: Which) -> Released:
    """Let held runs go.

    Raises:
        RunError: one is not held, or does not exist.
    """
    with changing(folder) as store:
        chosen = _chosen(store, which, {State.HELD})
        _each(chosen, store.lifecycle.release)
        return Released(chosen, unserved(store, folder))


def _chosen(store: Store, which: Which, states: Collection[State], *, only_newest: bool = False) -> list[Run]:
    """Return the runs that are meant.

    Args:
        states: those of a group are meant that are in one of them.
        only_newest: of those of one name in the group only the one that was queued last is meant.
    """
    named = resolve_all(store, tuple(which.written))
    known = {run.id for run in named}
    if which.group is None:
        return named
    members = resolve_all(store, (), which.group)
    members = newest_of_each(members) if only_newest else members
    return named + [run for run in members if run.id not in known and run.state in states]


def _each(runs: Sequence[Run], change: Callable[[Run], T]) -> list[T]:
    """Change all of the runs, or none when one of them cannot be."""
    done = []
    for run in runs:
        try:
            done.append(change(run))
        except RunError as error:
            raise _nothing_changed(error, runs) from None
    return done


def _cancel(store: Store, run: Run) -> State:
    # One that was cancelled before it may have changed it: one that it comes after.
    return store.lifecycle.cancel(store.runs.get(run.id) or run, "cancelled", now())


def _nothing_changed(error: RunError, runs: Sequence[Run]) -> RunError:
    return RunError(f"{error.message}; nothing was changed", error.hint) if len(runs) > 1 else error
