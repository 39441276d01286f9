"""Changing runs: all that are selected, or none."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, TypeVar

from aqueue.client.prospects import unserved
from aqueue.client.selection import Selection, selected
from aqueue.client.session import (
    Warn,
    changing,
    config_or_default,
    living_servers,
    now,
    reading,
    refuse_if_disabled,
)
from aqueue.client.without_room import cancel_without_room
from aqueue.errors import AqueueError, DiskFullError, RunError
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.store.store import Store

T = TypeVar("T")

CANCELLABLE: Final = (State.QUEUED, State.HELD, State.RUNNING)
"""The states that runs are cancelled in."""

RETRIABLE: Final = (State.FAILED, State.ABORTED, State.SUCCEEDED)
"""The states that runs are retried from."""


class Cancelled(NamedTuple):
    """The runs that were cancelled.

    Attributes:
        runs: their state before the change.
        states: their states now; a run whose retry was cancelled has its earlier state again.
        dependents: runs that were aborted because they come after them.
        is_served: True if a server is up, which stops running ones.
        is_without_room: True if the disk is full: the runs are stopped, and recorded once there is room.
    """

    runs: list[Run]
    states: list[State]
    dependents: list[Run]
    is_served: bool
    is_without_room: bool = False


class Retried(NamedTuple):
    """The runs that were queued again.

    Attributes:
        runs: their state before the change.
        others: runs that come after them, and wait again.
        unserved: why they wait for a server; None if one is up.
    """

    runs: list[Run]
    others: list[Run]
    unserved: str | None


class Released(NamedTuple):
    """The runs that were released.

    Attributes:
        runs: their state before the change.
        unserved: why they wait for a server; None if one is up.
    """

    runs: list[Run]
    unserved: str | None


def preview(folder: Folder, selection: Selection, fitting: Collection[State]) -> list[Run]:
    """Return the runs that a selection means now, without changing them.

    Args:
        fitting: the states to select runs in that are not named one by one.
    """
    with reading(folder) as store:
        return selected(store, folder, selection, fitting)


def cancel(folder: Folder, selection: Selection) -> Cancelled:
    """Cancel runs, queued or running, and abort the runs that come after them.

    Raises:
        RunError: one is over, or does not exist.
    """
    chosen: list[Run] = []
    try:
        with changing(folder) as store:
            chosen = selected(store, folder, selection, CANCELLABLE)
            before = store.dependencies.dependents(chosen)
            states = _each(chosen, lambda run: _cancel(store, run))
            is_spared = State.SUCCEEDED in states
            spared = {run.id for run in before if store.runs.get(run.id) == run} if is_spared else set()
            dependents = [run for run in before if run.id not in spared]
            return Cancelled(chosen, states, dependents, bool(living_servers(store, folder)))
    except DiskFullError as error:
        stopped = cancel_without_room(folder, chosen, error)
        return Cancelled(stopped, [run.state for run in stopped], [], is_served=True, is_without_room=True)


def retry(folder: Folder, selection: Selection, warn: Warn) -> Retried:
    """Queue ended runs again, as new attempts. Of a group's runs with the same name, take the newest.

    Args:
        warn: is called if the configuration has an error.

    Raises:
        RunError: one is not over, does not exist, or comes after one that did not succeed.
        QueueError: queues are disabled.
    """
    refuse_if_disabled(config_or_default(folder, warn))
    with changing(folder) as store:
        chosen = selected(store, folder, selection, RETRIABLE, only_newest=True)
        if not chosen:
            return Retried([], [], None)
        try:
            store.lifecycle.retry(chosen)
        except RunError as error:
            raise nothing_changed(error, chosen) from None
        back = map(store.runs.get, sorted(store.dependencies.restored - {run.id for run in chosen}))
        return Retried(chosen, [run for run in back if run is not None], unserved(store, folder))


def hold(folder: Folder, selection: Selection) -> list[Run]:
    """Hold queued runs, and return them as they were.

    Raises:
        RunError: one is not queued, or does not exist.
    """
    with changing(folder) as store:
        chosen = selected(store, folder, selection, (State.QUEUED,))
        _each(chosen, store.lifecycle.hold)
        return chosen


def release(folder: Folder, selection: Selection) -> Released:
    """Release held runs.

    Raises:
        RunError: one is not held, or does not exist.
    """
    with changing(folder) as store:
        chosen = selected(store, folder, selection, (State.HELD,))
        _each(chosen, store.lifecycle.release)
        return Released(chosen, unserved(store, folder))


def _each(runs: Sequence[Run], change: Callable[[Run], T]) -> list[T]:
    """Change all of the runs, or none if one cannot be changed."""
    done = []
    for run in runs:
        try:
            done.append(change(run))
        except RunError as error:
            raise nothing_changed(error, runs) from None
    return done


def _cancel(store: Store, run: Run) -> State:
    # Read again: cancelling a run that it comes after may have changed it.
    return store.lifecycle.cancel(store.runs.get(run.id) or run, "cancelled", now())


def nothing_changed(error: AqueueError, runs: Sequence[Run]) -> AqueueError:
    """Return an error about one of several runs with a note that nothing was changed."""
    if len(runs) > 1:
        error.message += "; nothing was changed"
    return error
