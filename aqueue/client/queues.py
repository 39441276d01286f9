"""Pausing and resuming queues and schedules, and dequeueing a run."""

from typing import NamedTuple

from aqueue.client.filing_away import file_away
from aqueue.client.prospects import unserved
from aqueue.client.session import Warn, changing, config_or_default, now
from aqueue.client.unknown_names import known_queues, unknown_queue
from aqueue.errors import QueueError, RunError
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.run import Run, State
from aqueue.near_names import near_name
from aqueue.store.store import Store


class Dequeued(NamedTuple):
    """The dequeued run, and the runs aborted because they come after it."""

    run: Run
    dependents: list[Run]


class Paused(NamedTuple):
    """The outcome of pausing a queue.

    Attributes:
        is_schedule: True if a schedule, which goes on, has the same name.
        is_new: True if it is not configured, and no run is or was in it.
    """

    is_schedule: bool
    is_new: bool


class Resumed(NamedTuple):
    """The outcome of resuming a queue.

    Attributes:
        was_paused: True if a user had paused it.
        unserved: why its runs wait for a server; None if one is up, or it has no runs.
        error: why it is still paused; None if it is not.
    """

    was_paused: bool
    unserved: str | None
    error: QueueError | None


def dequeue(folder: Folder, queue: str, written: str | None = None) -> Dequeued:
    """Dequeue the first run of a queue, or the named one. A run without attempts is removed altogether.

    Raises:
        QueueError: the queue is empty.
        RunError: the named run is not queued there.
    """
    with changing(folder) as store:
        run = store.queues.first(queue) if written is None else _queued(store.runs.resolve(written), queue)
        if run is None:
            if error := unknown_queue(store, config_or_default(folder), queue):
                raise error
            raise QueueError(f"no queued runs in queue {queue!r}", "`aqueue status` lists the queues")
        source = store.runs.source(run)
        dependents = store.dependencies.dependents([run])
        is_forgotten = store.lifecycle.dequeue(run, "dequeued", now())
        file_away(folder, store, [source])
    if is_forgotten:
        import shutil

        shutil.rmtree(folder.run_dir(run.id), ignore_errors=True)
    return Dequeued(run, dependents)


def pause(folder: Folder, queue: str) -> Paused:
    """Pause a queue.

    Raises:
        QueueError: there is no such queue, and another was probably meant.
    """
    config = config_or_default(folder)
    with changing(folder) as store:
        is_new = _is_new(store, config, queue)
        store.queues.pause(queue)
        is_schedule = any(stored.name == queue for stored in store.schedules.all())
        return Paused(is_schedule, is_new)


def resume(folder: Folder, queue: str, warn: Warn) -> Resumed:
    """Resume a queue.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        QueueError: there is no such queue, and another was probably meant.
    """
    config = config_or_default(folder, warn)
    with changing(folder) as store:
        _is_new(store, config, queue)
        was_paused = store.queues.resume(queue)
        why = unserved(store, folder) if was_paused and store.queues.first(queue) is not None else None
    configured = config.queues.get(queue)
    error = None
    if configured is not None and configured.paused:
        error = QueueError(f"queue {queue} is paused in aqueue.yaml", "remove `paused: true` there")
    return Resumed(was_paused, why, error)


def pause_schedule(folder: Folder, name: str) -> None:
    """Pause a schedule. Runs that would be due meanwhile are skipped.

    Raises:
        ScheduleError: there is no schedule of this name.
    """
    with changing(folder) as store:
        store.schedules.pause(name, now())


def resume_schedule(folder: Folder, name: str) -> bool:
    """Resume a schedule, and return True if it was paused.

    Raises:
        ScheduleError: there is no schedule of this name.
    """
    with changing(folder) as store:
        return store.schedules.resume(name, now())


def _is_new(store: Store, config: Config, queue: str) -> bool:
    """Return True if nobody knows a queue.

    Raises:
        QueueError: another was probably meant.
    """
    if (error := unknown_queue(store, config, queue)) and near_name(queue, known_queues(store, config)):
        raise error
    return error is not None


def _queued(run: Run, queue: str) -> Run:
    """Return the run, if it is queued there.

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
