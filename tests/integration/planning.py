"""A timetable, as short as a test wants to say what happens to it. Times are minutes since the test began."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from aqueue.folder.layout import Folder
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State, Trigger
from aqueue.model.schedule import Overlap, Schedule, StoredSchedule
from aqueue.model.server import Server
from aqueue.model.submission import Submission, run_ids
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.store.database import transaction
from aqueue.store.due_times import Decided
from aqueue.store.schedules import Changed
from aqueue.store.store import Store

BEGIN = 1_800_000_000.0
"""08:00 in UTC."""

FILE = "nightly.yaml"
ENABLED = Limits(jobs=1000)
DISABLED = Limits(jobs=1000, disabled_by="aqueue.yaml")


def at(minutes: float) -> float:
    """Return the time so many minutes after the test began."""
    return BEGIN + 60.0 * minutes


def a_schedule(
    *expressions: str,
    name: str = "nightly",
    window: float = 0.0,
    overlap: Overlap = Overlap.ALL,
    submission: dict[str, Any] | None = None,
    **task: Any,
) -> Schedule:
    """A schedule that is due every ten minutes, if nothing else is said; its window is in minutes."""
    return Schedule(
        submission=Submission(task=Task(name=name, command="true", working_dir="/", **task), **submission or {}),
        timezone="UTC",
        expressions=expressions or ("*/10 * * * *",),
        catchup_window=60.0 * window,
        overlap=overlap,
    )


def once(minutes: float, name: str = "once", window: float = 0.0) -> Schedule:
    """A schedule that is due at that minute, and never again."""
    task = Task(name=name, command="true", working_dir="/")
    return Schedule(submission=Submission(task=task), timezone="UTC", at=at(minutes), catchup_window=60.0 * window)


class Plan:
    """A timetable, with what tests do to it again and again. Every method is a transaction of its own."""

    def __init__(self, connection: sqlite3.Connection, folder: Folder) -> None:
        self._connection = connection
        self._folder = folder
        self.gone: set[str] = set()
        """The files that are not there any more, whatever the store knows."""

    @contextmanager
    def open(self) -> Iterator[Store]:
        with transaction(self._connection, self._folder) as connection:
            yield Store(connection)

    def put(self, *found: Schedule, when: float = 0.0, file: str = FILE, is_edit: bool = True) -> list[Changed]:
        with self.open() as store:
            return store.schedules.apply_file(
                file,
                found,
                at(when),
                is_edit=is_edit,
                holds=lambda name, _: name not in self.gone,
                limits=ENABLED,
            )

    def was_served_until(self, when: float) -> None:
        """A server was up until then, and left."""
        server = Server(id="before", pid=1, boot="boot", jobs=1, started_at=at(when), heartbeat_at=at(when))
        with self.open() as store:
            store.servers.enter(server)
        with self.open() as store:
            store.servers.leave(server.id)

    def make_due(self, when: float, limits: Limits = ENABLED) -> list[float]:
        """The due times of the runs that were made, in minutes."""
        return self.minutes(self.made(when, limits))

    def made(self, when: float, limits: Limits = ENABLED) -> list[Run]:
        with self.open() as store:
            ids = run_ids(made.accepted for made in store.due_times.make(limits, at(when)))
            return [run for id_ in ids if (run := store.runs.get(id_))]

    def catch_up(self, limits: Limits = ENABLED) -> list[Decided]:
        """Decide about all that was missed."""
        decided = []
        while one := self.catch_up_once(limits):
            decided.append(one)
        return decided

    def catch_up_once(self, limits: Limits = ENABLED) -> Decided | None:
        with self.open() as store:
            return store.due_times.catch_up(limits)

    def pass_to(self, when: float, limits: Limits = ENABLED) -> list[float]:
        """Be at that minute for the first time since the last: the due times that were caught up."""
        before = {run.id for run in self.runs()}
        self.made(when, limits)
        self.catch_up(limits)
        return self.minutes(run for run in self.runs() if run.id not in before and run.trigger is Trigger.CATCHUP)

    def follow_clock(self, when: float) -> None:
        with self.open() as store:
            store.due_times.follow_clock(at(when))

    def pause(self, name: str = "nightly", when: float = 0.0) -> None:
        with self.open() as store:
            store.schedules.pause(name, at(when))

    def resume(self, when: float, name: str = "nightly") -> bool:
        with self.open() as store:
            return store.schedules.resume(name, at(when))

    def claim(self, when: float, limits: Limits = ENABLED) -> list[Run]:
        with self.open() as store:
            return store.claims.claim("server", limits, at(when)).runs

    def end(self, run: Run, when: float, code: int = 0) -> None:
        with self.open() as store:
            assert store.lifecycle.finish(Outcome(run=run, end=End.EXITED, exit_code=code, at=at(when)), "server")

    def stored(self, name: str = "nightly") -> StoredSchedule:
        with self.open() as store:
            found = store.schedules.get(name)
        assert found is not None
        return found

    def next_due(self, name: str = "nightly") -> float | None:
        """When a schedule is due next, in minutes."""
        moment = self.stored(name).next_due
        return None if moment is None else (moment - BEGIN) / 60.0

    def runs(self, name: str | None = None, trigger: Trigger | None = None) -> list[Run]:
        """All of them, or those of one schedule, or those made in one way; in the order of their ids."""
        with self.open() as store:
            found = store.runs.select()
        return [run for run in found if name in (None, run.name) and trigger in (None, run.trigger)]

    def runs_in(self, state: State) -> list[Run]:
        return [run for run in self.runs() if run.state is state]

    def due_times(self, name: str | None = None, trigger: Trigger | None = None) -> list[float]:
        """The due times that have runs, in minutes."""
        return self.minutes(self.runs(name, trigger))

    def reasons(self, name: str | None = None) -> dict[float, str]:
        """For each due time whose run is over before its time, why."""
        return {
            minute: run.reason
            for run, minute in zip(self.runs(name), self.due_times(name), strict=True)
            if run.reason
        }

    @staticmethod
    def minutes(runs: Collection[Run] | Iterator[Run]) -> list[float]:
        return [(run.scheduled_for - BEGIN) / 60.0 for run in runs if run.scheduled_for is not None]
