"""Events of runs, as they happen: told by comparing what is remembered with what was known a moment ago."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from aqueue.client.follow import news_of
from aqueue.client.session import opened, watch_for_removal
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Attempt, Run, State
from aqueue.store.database import snapshot
from aqueue.store.store import Store

_RECHECK_SECONDS: Final = 5.0


class Kind(StrEnum):
    """The kinds of events."""

    ACCEPTED = "accepted"
    STARTED = "started"
    ENDED = "ended"


class RunEvent(msgspec.Struct, frozen=True):
    """Something that happened to a run.

    Attributes:
        kind: a run is there or was retried, an attempt of it started, or one ended.
        run: as it is now; perhaps queued again after an attempt that failed.
        attempt: that started or ended; None if a run is over without one.
    """

    kind: Kind
    run: Run
    attempt: Attempt | None = None


class Watcher:
    """The runs as they were at the last look.

    Args:
        store: as it is at first; what has happened by then is not told.
    """

    def __init__(self, store: Store) -> None:
        self._last = store.runs.last_id()
        self._known = store.runs.current_attempts()

    def look(self, store: Store) -> list[RunEvent]:
        """Return what has happened since the last look, run by run in the order of their ids."""
        first, self._last = self._last + 1, store.runs.last_id()
        known, self._known = self._known, store.runs.current_attempts()
        changed = {id_ for id_, far in self._known.items() if known.get(id_) != far}
        found: list[RunEvent] = []
        for id_ in sorted(changed | known.keys() - self._known.keys() | {*range(first, self._last + 1)}):
            if (run := store.runs.get(id_)) is None:
                continue
            if id_ not in known:
                found.append(RunEvent(Kind.ACCEPTED, run))
            # One that was retried has had attempts before; all those of a new one are new.
            before = 0 if id_ >= first else run.attempt - (run.state is State.RUNNING)
            found += _since(run, store.runs.attempts(run), *known.get(id_, (before, False)))
        return found


def _since(run: Run, attempts: Sequence[Attempt], told: int, was_running: bool) -> Iterator[RunEvent]:
    """Return what has happened to a run.

    Args:
        told: how many attempts are known to have started.
        was_running: whether the last of them was not known to have ended.
    """
    is_told = False
    for attempt in attempts:
        if attempt.number > told:
            yield RunEvent(Kind.STARTED, run, attempt)
        if attempt.finished_at is not None and attempt.number > told - was_running:
            yield RunEvent(Kind.ENDED, run, attempt)
            is_told = True
    if run.state in ENDED and not is_told:
        yield RunEvent(Kind.ENDED, run)


def events(folder: Folder) -> Iterator[RunEvent]:
    """Return what happens to runs from this call on, as it happens, without an end."""
    refuse_if_removed = watch_for_removal(folder)
    wait_for_news = news_of(folder, refuse_if_removed)
    with opened(folder, refuse_if_removed) as connection, snapshot(connection, folder):
        watcher = Watcher(Store(connection))

    def follow() -> Iterator[RunEvent]:
        with opened(folder, refuse_if_removed) as connection:
            while True:
                with snapshot(connection, folder):
                    found = watcher.look(Store(connection))
                yield from found
                wait_for_news(_RECHECK_SECONDS)

    return follow()
