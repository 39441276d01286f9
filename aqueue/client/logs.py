"""The output of runs: what is there, and what comes until a run is over."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from aqueue.client.follow import StuckError, news_of
from aqueue.client.prospects import unattended
from aqueue.client.session import Warn, opened, reading, watch_for_removal
from aqueue.client.wait_reasons import can_end, waits
from aqueue.errors import RunError
from aqueue.executors import long_logs
from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Attempt, Run, State
from aqueue.store.database import snapshot
from aqueue.store.store import Store
from aqueue.units import counted, spell

_RECHECK_SECONDS: Final = 5.0

_NUMBERS: Final = re.compile(r"[\d.]+[a-z]*", re.ASCII)


class Note(msgspec.Struct, frozen=True):
    """Something about a run that is followed, between pieces of its output.

    Attributes:
        is_warning: whether the run goes on only if the user does something.
        has_failed: whether this is the end, and it is not a success.
    """

    text: str
    is_warning: bool = False
    has_failed: bool = False


def output(
    folder: Folder, run: str, attempt: int | None = None, *, head: int | None = None, tail: int | None = None
) -> Iterator[bytes]:
    """Return what a run has written so far, in pieces.

    Args:
        attempt: the number of the attempt that is meant; None: the last.
        head: only so many lines from the beginning.
        tail: only so many lines before the end.

    Raises:
        RunError: there is no such run or attempt, or no output.
    """
    with reading(folder) as store:
        found = _resolved(store, run, attempt)
    log = folder.log(found.id, attempt or found.attempt)
    if found.attempt == 0 and found.state not in ENDED:
        raise RunError(f"run {found.id} has not been started yet", f"`aqueue logs -f {found.id}` waits for it")
    if not log.exists() and found.state is not State.RUNNING:
        raise _no_output(found)
    start = _start(log, tail, found.task.log_limit)
    pieces = (piece for piece, _ in _pieces(log, start, found.task.log_limit))
    yield from pieces if head is None else _first_lines(pieces, head)


def follow(
    folder: Folder, run: str, attempt: int | None, warn: Warn, *, tail: int | None = None
) -> Iterator[bytes | Note]:
    """Return what a run writes, attempt after attempt, until it is over; and notes about it.

    Args:
        attempt: the number of the only attempt that is meant.
        warn: is told of an error in the configuration.
        tail: begin so many lines before the end of what is there.

    Raises:
        RunError: there is no such run or attempt, or nothing to return, not even an empty log.
        StuckError: only a person can have it started.
    """
    refuse_if_removed = watch_for_removal(folder)
    news = partial(news_of, folder, refuse_if_removed)
    with opened(folder, refuse_if_removed) as connection:
        with snapshot(connection, folder):
            found = _resolved(Store(connection), run, attempt)
        yield from _Following(connection, folder, found, attempt, news, warn).pieces(tail)


class _Seen(NamedTuple):
    """A run as it was at one moment; `waits` is why it is not started, None if it is or will be at once."""

    run: Run
    attempts: list[Attempt]
    waits: str | None
    is_stuck: bool
    unattended: str | None


class _Following:
    """One run whose output is followed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Folder,
        run: Run,
        attempt: int | None,
        news: Callable[..., Callable[[float], None]],
        warn: Warn,
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._run = run
        self._attempt = attempt
        self._news = news
        self._warn_of = warn
        self._told: set[str] = set()

    def pieces(self, tail: int | None) -> Iterator[bytes | Note]:
        folder, id_, limit = self._folder, self._run.id, self._run.task.log_limit
        number = self._attempt or max(self._run.attempt, 1)
        log, directory, watching = folder.log(id_, number), folder.run_dir(id_), False
        position, has_log = _start(log, tail, limit), False
        wait_for_more = self._news()
        while True:
            # Read before the log is: what was written until it was over is all there then.
            seen = self._look()
            has_log = has_log or log.exists()
            if has_log and seen is not None:
                yield from self._note_once(_heading(seen, number))
            for piece, after in _pieces(log, position, limit):
                yield piece
                position = after
            if seen is None:
                if not has_log:
                    raise RunError(f"run {id_} no longer exists: it was dequeued or pruned")
                return
            run = seen.run
            if run.attempt > number and self._attempt is None:
                yield from self._note_once(_end_of_attempt(seen, number))
                number, position = number + 1, 0
                log = folder.log(id_, number)
            elif run.state in ENDED or run.attempt > number:
                if not has_log:
                    raise _no_output(run)
                yield _end(seen, number)
                return
            elif directory.exists() and not watching:
                # Looked at once more before waiting: the watch reports only what comes after it was made.
                watching = True
                wait_for_more = self._news(directory)
            elif seen.is_stuck:
                raise StuckError([(run, seen.waits or "")])
            else:
                yield from self._waiting(seen, number)
                wait_for_more(_RECHECK_SECONDS)

    def _look(self) -> _Seen | None:
        """Return the run as it is now; None if it is gone."""
        with snapshot(self._connection, self._folder):
            store = Store(self._connection)
            run = store.runs.get(self._run.id)
            if run is None:
                return None
            attempts = store.runs.attempts(run)
            if run.state in ENDED:
                return _Seen(run, attempts, None, is_stuck=False, unattended=None)
            why = unattended(store, self._folder, [run.id])
            if run.state is State.RUNNING:
                return _Seen(run, attempts, None, is_stuck=False, unattended=why)
            (reason,) = waits(store, self._folder, [run], self._warn)
            is_stuck = not can_end(store, self._folder, [run.id])
            return _Seen(run, attempts, reason, is_stuck, why)

    def _waiting(self, seen: _Seen, number: int) -> Iterator[Note]:
        """Yield notes about what has ended, and what is waited for, if they were not told before."""
        if seen.run.state is not State.RUNNING:
            yield from self._note_once(_end_of_attempt(seen, number))
        if seen.unattended:
            yield from self._note_once(seen.unattended, is_warning=True)
        # Places in line and times to a retry change all the time.
        elif seen.waits and (kind := _NUMBERS.sub("", seen.waits)) not in self._told:
            self._told.add(kind)
            yield Note(f"run {seen.run.id} {seen.run.name}: {seen.waits}")

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._warn_of(text)

    def _note_once(self, text: str | None, *, is_warning: bool = False) -> Iterator[Note]:
        if text is not None and text not in self._told:
            self._told.add(text)
            yield Note(text, is_warning=is_warning)


def _heading(seen: _Seen, number: int) -> str:
    run = seen.run
    began = "".join(f", started {_local(one.started_at)}" for one in seen.attempts if one.number == number)
    return f"attempt {number} of run {run.id} {run.name}{began}"


def _local(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"


def _end_of_attempt(seen: _Seen, number: int) -> str | None:
    """Return how an attempt ended; None if it did not yet."""
    for one in seen.attempts:
        if one.number == number and one.finished_at is not None:
            after = spell(one.finished_at - one.started_at)
            return f"attempt {number} of run {seen.run.id} {seen.run.name} ended after {after}: {_outcome(one)}"
    return None


def _outcome(attempt: Attempt) -> str:
    return attempt.reason or str(State.SUCCEEDED)


def _end(seen: _Seen, number: int) -> Note:
    """Return how a run ended, or, if the attempt that was followed is not its last, that attempt."""
    if seen.run.attempt > number:
        is_failure = any(one.number == number and one.reason for one in seen.attempts)
        return Note(_end_of_attempt(seen, number) or "", has_failed=is_failure)
    return Note(end_of(seen.run), has_failed=seen.run.state is not State.SUCCEEDED)


def end_of(run: Run) -> str:
    """Return how a run ended."""
    after = "" if run.took is None else f" after {spell(run.took)}"
    why = f": {run.reason}" if run.reason and run.state is not State.SUCCEEDED else ""
    return f"{run.id} {run.name} {run.state}{after}{why}"


def _resolved(store: Store, written: str, attempt: int | None) -> Run:
    run = store.runs.resolve(written)
    if attempt is not None and attempt > run.attempt:
        had = counted(run.attempt, "attempt")
        raise RunError(f"run {run.id} has only {had}", "choose one of them with --attempt")
    return run


def _no_output(run: Run) -> RunError:
    reason = run.reason or "it was pruned"
    return RunError(f"run {run.id} has no output: {reason}", f"`aqueue show {run.id}` tells more")


def _start(log: Path, lines: int | None, limit: int | None) -> int:
    """Return the position of the last lines of a log; None: of all."""
    try:
        return 0 if lines is None else long_logs.start_of_tail(log, lines, limit)
    except OSError:
        # It is told when the log is read.
        return 0


def _first_lines(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    for piece in pieces:
        ended = piece.count(b"\n")
        if ended >= count:
            end = -1
            for _ in range(count):
                end = piece.index(b"\n", end + 1)
            yield piece[: end + 1]
            return
        count -= ended
        yield piece


def _pieces(log: Path, position: int, limit: int | None) -> Iterator[tuple[bytes, int]]:
    """Return what is in a log from a position on, each piece with the position after it; nothing if it is gone."""
    try:
        yield from long_logs.read(log, position, limit)
    except FileNotFoundError:
        return
    except OSError as error:
        if not no_links.is_refused(error):
            raise
        message = f"{log} has been replaced by a symbolic link"
        raise RunError(message, f"`readlink {log}` shows where it leads") from None
