"""Changing runs, queues and schedules: all that is asked for, or nothing."""

import contextlib
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
from aqueue.errors import DiskFullError, QueueError, RunError
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Run, State
from aqueue.store import database
from aqueue.store.store import Store

T = TypeVar("T")

_NOT_OVER = frozenset(State) - ENDED


class Which(NamedTuple):
    """Runs that are named, and those of a group with which it can be done: not all of a group have to suit."""

    written: Sequence[str] = ()
    group: str | None = None


class Cancelled(NamedTuple):
    """What was cancelled.

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
    """What was queued once more.

    Attributes:
        runs: as they were before.
        others: that come after them, and wait again.
        unserved: why they wait for a server; None if one is there.
    """

    runs: list[Run]
    others: list[Run]
    unserved: str | None


class Released(NamedTuple):
    """What was let go.

    Attributes:
        runs: as they were before.
        unserved: why they wait for a server; None if one is there.
    """

    runs: list[Run]
    unserved: str | None


class Dequeued(NamedTuple):
    """The run that was taken off its queue, and those that were aborted because they come after it."""

    run: Run
    dependents: list[Run]


class Resumed(NamedTuple):
    """What became of a queue that is to go on.

    Attributes:
        was_paused: whether a person had paused it.
        unserved: why its runs wait for a server; None if one is there, or it has none.
        error: why it is paused all the same; None if it goes on.
    """

    was_paused: bool
    unserved: str | None
    error: QueueError | None


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
        back = map(store.runs.get, sorted(store.dependencies.let_go - {run.id for run in chosen}))
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


def dequeue(folder: Folder, queue: str, written: str | None = None) -> Dequeued:
    """Take the first run off a queue, or the one that is named. One that never had an attempt is forgotten.

    Raises:
        QueueError: the queue is empty.
        RunError: the run that is named is not queued there.
    """
    with changing(folder) as store:
        run = store.queues.first(queue) if written is None else _queued(store.runs.resolve(written), queue)
        if run is None:
            raise QueueError(f"queue {queue} is empty", "`aqueue status` shows which queues are not")
        source = store.runs.source(run)
        dependents = store.dependencies.dependents([run])
        is_forgotten = store.lifecycle.dequeue(run, "dequeued", now())
        _file_away(folder, store, source)
    if is_forgotten:
        import shutil

        shutil.rmtree(folder.run_dir(run.id), ignore_errors=True)
    return Dequeued(run, dependents)


def pause(folder: Folder, queue: str) -> bool:
    """Start nothing more of a queue; returns whether a schedule has the same name, which goes on."""
    with changing(folder) as store:
        store.queues.pause(queue)
        return any(stored.name == queue for stored in store.schedules.all())


def resume(folder: Folder, queue: str, warn: Warn) -> Resumed:
    """Let a queue go on.

    Args:
        warn: is told of an error in the configuration.
    """
    with changing(folder) as store:
        was_paused = store.queues.resume(queue)
        why = unserved(store, folder) if was_paused and store.queues.first(queue) is not None else None
    configured = config_or_default(folder, warn).queues.get(queue)
    error = None
    if configured is not None and configured.paused:
        error = QueueError(f"queue {queue} is paused in aqueue.yaml", "remove `paused: true` there")
    return Resumed(was_paused, why, error)


def pause_schedule(folder: Folder, name: str) -> None:
    """Have a schedule make no runs; what is due meanwhile is not made up for.

    Raises:
        ScheduleError: there is none of this name.
    """
    with changing(folder) as store:
        store.schedules.pause(name, now())


def resume_schedule(folder: Folder, name: str) -> bool:
    """Let a schedule go on; returns whether it was paused.

    Raises:
        ScheduleError: there is none of this name.
    """
    with changing(folder) as store:
        return store.schedules.resume(name, now())


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


def _queued(run: Run, queue: str) -> Run:
    """The run, if it is queued there.

    Raises:
        RunError: it is not.
    """
    which = f"run {run.name}:{run.run_id}"
    if run.queue != queue:
        raise RunError(f"{which} is not in queue {queue}", f"it is in queue {run.queue}")
    if run.state is State.RUNNING:
        raise RunError(f"{which} is running", f"`aqueue cancel {run.id}` stops it")
    if run.state is State.HELD:
        raise RunError(f"{which} is held, not queued", f"`aqueue cancel {run.id}` aborts it")
    return run


def _file_away(folder: Folder, store: Store, source: str | None) -> None:
    """Put the file that a run comes from where no server takes it for a new one.

    A server does that by itself a moment after it has accepted a file; were the run forgotten before, the file
    would become a run once more after a crash.
    """
    name = (source or "").rpartition(":")[0]
    if not name or not (folder.incoming / name).exists():
        return
    # Imported here: no other command needs it.
    from aqueue.intake import filing

    database.make_durable(folder)
    # Unless a server has just done so, or is about to, once nobody writes to it.
    with contextlib.suppress(FileNotFoundError, BlockingIOError):
        filing.file_away(folder, name, store.runs.of_file(name))
