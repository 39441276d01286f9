"""Waiting for runs until they are over. Woken by the folder's news, not by the clock."""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from aqueue.client.prospects import unattended
from aqueue.client.selection import newest_of_each, resolve_all
from aqueue.client.session import Warn, opened, watch_for_removal
from aqueue.client.wait_reasons import can_end, waits
from aqueue.errors import RunError, WaitTimeoutError
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.store.database import snapshot
from aqueue.store.store import Store

T = TypeVar("T")

RECHECK_SECONDS: Final = 5.0
"""The time after which to look again, although there is no news."""


class Progress(NamedTuple):
    """The news of runs that are waited for, since they were told last.

    Attributes:
        ended: those that are over now.
        gone: the ids of those that were forgotten: taken off a queue, or pruned at once.
        stuck: all that are left, each with the reason, once only a person can have one of them started.
        unserved: why nobody starts them, or sees their end; None if a server does, or it was told before.
        left: the ids of those that are not over.
    """

    ended: list[Run]
    gone: list[int]
    stuck: list[tuple[Run, str]]
    unserved: str | None = None
    left: frozenset[int] = frozenset()


class StuckError(RunError):
    """Runs that only a person can have started.

    Attributes:
        runs: each with the reason.
    """

    def __init__(self, runs: Sequence[tuple[Run, str]]) -> None:
        run, why = runs[0]
        more = f", nor can {len(runs) - 1} more" if len(runs) > 1 else ""
        super().__init__(f"run {run.id} {run.name} cannot start: {why}{more}")
        self.runs = [*runs]


def wait(
    folder: Folder,
    written: Sequence[str],
    group: str | None,
    warn: Warn,
    timeout: float | None = None,
    every: float = RECHECK_SECONDS,
) -> Iterator[Progress]:
    """Return what comes of runs, as it comes, until they are over or stuck.

    Args:
        written: runs; without any, and without a group, all that are queued or running.
        group: the runs of which are meant, too; of those of one name only the newest.
        warn: is told of an error in the configuration.
        timeout: for how many seconds to wait at most.
        every: after how many seconds to return, although there is no news.

    Raises:
        RunError: one of them, or the group, does not exist.
        WaitTimeoutError: some are left after that time.
    """
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    refuse_if_removed = watch_for_removal(folder)
    with opened(folder, refuse_if_removed) as connection:
        left = _read(connection, folder, partial(_waited_for, written=written, group=group))
        wait_for_news = news_of(folder, refuse_if_removed)
        unserved, check_at = None, -math.inf
        while True:
            progress = _read(connection, folder, partial(_progress, folder=folder, left=left, warn=warn))
            left -= {run.id for run in progress.ended} | {*progress.gone}
            if not left or progress.stuck:
                yield progress
                return
            if time.monotonic() >= check_at:
                # Nothing tells that a server was killed.
                check_at = time.monotonic() + min(every, RECHECK_SECONDS)
                known, unserved = unserved, _read(connection, folder, partial(unattended, where=folder, ids=left))
                progress = progress._replace(unserved=unserved if unserved != known else None)
            yield progress._replace(left=frozenset(left))
            moment = time.monotonic()
            if moment >= deadline:
                which = ", ".join(map(str, sorted(left)))
                raise WaitTimeoutError(f"runs that have not ended after {timeout} s: {which}")
            wait_for_news(max(min(check_at, deadline) - moment, 0.0))


def _waited_for(store: Store, written: Sequence[str], group: str | None) -> set[int]:
    """Return the ids of the runs that are meant."""
    if not written and group is None:
        return {run.id for run in store.runs.select(states=[State.QUEUED, State.RUNNING])}
    runs = resolve_all(store, tuple(written))
    if group is not None:
        runs += newest_of_each(resolve_all(store, (), group))
    return {run.id for run in runs}


def _progress(store: Store, folder: Folder, left: set[int], warn: Warn) -> Progress:
    """Return what has come of runs, and the rest with reasons if none of it can go on by itself."""
    ended, gone = store.runs.ended(left)
    rest = sorted(left - {run.id for run in ended} - {*gone})
    if not rest or can_end(store, folder, rest):
        return Progress(ended, gone, [])
    runs = [run for run in map(store.runs.get, rest) if run is not None]
    why = waits(store, folder, runs, warn)
    return Progress(ended, gone, [(run, reason or "") for run, reason in zip(runs, why, strict=True)])


def news_of(folder: Folder, refuse_if_removed: Callable[[], None], *more: Path) -> Callable[[float], None]:
    """Return a function that waits until something has changed, or so many seconds, since it was called last.

    Args:
        refuse_if_removed: raises an error if the folder was removed; called before and after the wait.
        more: directories that are watched, too.
    """
    # Imported here: what has ended already is told without it.
    from aqueue.folder.watch_files import watch_files

    folder.notify_clients()
    wait_for_change = watch_files([str(folder.client_bell), *map(str, more)])

    def wait_for_news(seconds: float) -> None:
        refuse_if_removed()
        wait_for_change(seconds)
        refuse_if_removed()

    return wait_for_news


def _read(connection: sqlite3.Connection, folder: Folder, ask: Callable[[Store], T]) -> T:
    with snapshot(connection, folder):
        return ask(Store(connection))
