"""Following runs: until they are over, or what they write. Woken by the folder's news, not by the clock."""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from aqueue.client.prospects import unattended
from aqueue.client.session import Warn, newest_of_each, opened, resolve_all, watch_for_removal
from aqueue.client.wait_reasons import can_end, waits
from aqueue.errors import RunError, WaitTimeoutError
from aqueue.executors import long_logs
from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Run, State
from aqueue.store.database import snapshot
from aqueue.store.store import Store
from aqueue.units import counted

T = TypeVar("T")

_RECHECK_SECONDS: Final = 5.0


class Progress(NamedTuple):
    """The news of runs that are waited for, since they were told last.

    Attributes:
        ended: those that are over now.
        gone: the ids of those that were forgotten: taken off a queue, or pruned at once.
        stuck: all that are left, each with the reason, once only a person can have one of them started.
        unserved: why nobody starts them, or sees their end; None if a server does, or it was told before.
    """

    ended: list[Run]
    gone: list[int]
    stuck: list[tuple[Run, str]]
    unserved: str | None = None


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
) -> Iterator[Progress]:
    """Return what comes of runs, as it comes, until they are over or stuck.

    Args:
        written: runs; without any, and without a group, all that are queued or running.
        group: the runs of which are meant, too; of those of one name only the newest.
        warn: is told of an error in the configuration.
        timeout: for how many seconds to wait at most.

    Raises:
        RunError: one of them, or the group, does not exist.
        WaitTimeoutError: some are left after that time.
    """
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    refuse_if_removed = watch_for_removal(folder)
    with opened(folder) as connection:
        left = _read(connection, folder, partial(_waited_for, written=written, group=group))
        wait_for_news, has_told = news_of(folder, refuse_if_removed), False
        while True:
            progress = _read(connection, folder, partial(_progress, folder=folder, left=left, warn=warn))
            left -= {run.id for run in progress.ended} | {*progress.gone}
            if not left or progress.stuck:
                yield progress
                return
            if not has_told:
                has_told = True
                why = _read(connection, folder, partial(unattended, where=folder, ids=left))
                progress = progress._replace(unserved=why)
            yield progress
            seconds = min(_RECHECK_SECONDS, deadline - time.monotonic())
            if seconds <= 0:
                which = ", ".join(map(str, sorted(left)))
                raise WaitTimeoutError(f"runs that have not ended after {timeout} s: {which}")
            wait_for_news(seconds)


def output(folder: Folder, run: str, attempt: int | None = None) -> Iterator[bytes]:
    """Return what a run has written so far, in pieces.

    Args:
        attempt: the number of the attempt that is meant; None: the last.

    Raises:
        RunError: there is no such run or attempt, or no output.
    """
    with opened(folder) as connection:
        found, number = _resolved(connection, folder, run, attempt)
    log = folder.log(found.id, number or found.attempt)
    if found.attempt == 0 and found.state not in ENDED:
        raise RunError(f"run {found.id} has not been started yet", f"`aqueue logs -f {found.id}` waits for it")
    if not log.exists() and found.state is not State.RUNNING:
        raise _no_output(found)
    for piece, _ in _pieces(log, 0, found.task.log_limit):
        yield piece


def follow(folder: Folder, run: str, attempt: int | None, warn: Warn, tell: Warn) -> Iterator[bytes]:
    """Return what a run writes, attempt after attempt, until it is over.

    Args:
        attempt: the number of the only attempt that is meant.
        warn: is told of an error in the configuration.
        tell: is told why the run waits for a server, if none is there.

    Raises:
        RunError: there is no such run or attempt, or nothing to return, not even an empty log.
        StuckError: only a person can have it started.
    """
    refuse_if_removed = watch_for_removal(folder)
    with opened(folder) as connection:
        found, _ = _resolved(connection, folder, run, attempt)
        news = partial(news_of, folder, refuse_if_removed)
        yield from _follow(connection, folder, found, attempt, news, warn, tell)


def _follow(
    connection: sqlite3.Connection,
    folder: Folder,
    run: Run,
    attempt: int | None,
    news: Callable[..., Callable[[float], None]],
    warn: Warn,
    tell: Warn,
) -> Iterator[bytes]:
    number, position = attempt or max(run.attempt, 1), 0
    directory, watching = folder.run_dir(run.id), False
    has_log, has_told = False, False
    wait_for_more = news()
    while True:
        # Read before the log is: what was written until it was over is all there then.
        current, stuck = _read(connection, folder, partial(_whereabouts, folder=folder, id_=run.id, warn=warn))
        log = folder.log(run.id, number)
        has_log = has_log or log.exists()
        for piece, after in _pieces(log, position, run.task.log_limit):
            yield piece
            position = after
        if current is None:
            if not has_log:
                raise RunError(f"run {run.id} no longer exists: it was dequeued or pruned")
            return
        run = current
        if run.attempt > number and attempt is None:
            number, position = number + 1, 0
        elif run.state in ENDED or run.attempt > number:
            if not has_log:
                raise _no_output(run)
            return
        elif directory.exists() and not watching:
            # Looked at once more before waiting: the watch reports only what comes after it was made.
            watching = True
            wait_for_more = news(directory)
        elif stuck:
            raise StuckError(stuck)
        else:
            if not has_told and (
                why := _read(connection, folder, partial(unattended, where=folder, ids=[run.id]))
            ):
                tell(why)
            has_told = True
            wait_for_more(_RECHECK_SECONDS)


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


def _whereabouts(store: Store, folder: Folder, id_: int, warn: Warn) -> tuple[Run | None, list[tuple[Run, str]]]:
    """Return a run, and, if only a person can have it started, once more with the reason."""
    run = store.runs.get(id_)
    # While it runs, there is something new all the time.
    is_moving = run is None or run.state is State.RUNNING
    return run, [] if is_moving else _progress(store, folder, {id_}, warn).stuck


def _resolved(
    connection: sqlite3.Connection, folder: Folder, written: str, attempt: int | None
) -> tuple[Run, int | None]:
    run = _read(connection, folder, lambda store: store.runs.resolve(written))
    if attempt is not None and attempt > run.attempt:
        had = counted(run.attempt, "attempt")
        raise RunError(f"run {run.id} has only {had}", "choose one of them with --attempt")
    return run, attempt


def _no_output(run: Run) -> RunError:
    reason = run.reason or "it was pruned"
    return RunError(f"run {run.id} has no output: {reason}", f"`aqueue show {run.id}` tells more")


def _pieces(log: Path, position: int, limit: int | None) -> Iterator[tuple[bytes, int]]:
    """Return what is in a log from a position on, each piece with the position after it; nothing if it is gone."""
    pieces = long_logs.read(log, position, limit)
    while True:
        try:
            found = next(pieces, None)
        except FileNotFoundError:
            return
        except OSError as error:
            if not no_links.is_refused(error):
                raise
            message = f"{log} has been replaced by a symbolic link"
            raise RunError(message, f"`readlink {log}` shows where it leads") from None
        if found is None:
            return
        yield found


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
