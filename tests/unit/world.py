"""A small world for runs to live in: tasks that come, attempts that end, and people who change their minds.

The store is the real one, over the real schema. Servers are only names here, and what each believes to hold: one
that was silent for a while may well speak up later, of runs that others have taken over. Each happening checks
that the store did what it should do.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from hypothesis import event
from hypothesis import strategies as st

from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, Run, State, Trigger
from aqueue.model.task import Priority, Retries
from aqueue.store.database import transaction
from aqueue.store.store import Store
from tests.unit.blank import blank_database
from tests.unit.records import a_task

T = TypeVar("T")

NOWHERE = Folder(Path("/nowhere"))

TASKS = st.builds(
    a_task,
    name=st.sampled_from(["train", "eval"]),
    queue=st.sampled_from([None, "gpu"]),
    priority=st.sampled_from(Priority),
    hold=st.sampled_from([False, False, False, True]),
    requeue=st.sampled_from([True, True, True, False]),
    retries=st.builds(Retries, limit=st.integers(0, 2), delay=st.sampled_from([0.0, 30.0])),
)
ENDS = st.sampled_from(
    [
        (End.EXITED, 0),
        (End.EXITED, 1),
        (End.EXITED, 137),
        (End.TIMED_OUT, 143),
        (End.STOPPED, 143),
        (End.FAILED_TO_START, None),
        *[(End.LOST, None)] * 4,
        (End.NEVER_STARTED, None),
    ]
)
# What people may do to runs, and in which states.
DEEDS = {
    "cancel": (State.HELD, State.QUEUED, State.RUNNING),
    "hold": (State.QUEUED,),
    "release": (State.HELD,),
    "retry": (State.SUCCEEDED, State.FAILED, State.ABORTED),
}


class World:
    """Time goes on as it is told to, and whatever there is to choose, `data` chooses."""

    data: st.DataObject

    def __init__(self) -> None:
        super().__init__()
        self.connection = blank_database()
        self.store = Store(self.connection)
        self.now = 1000.0
        self.beliefs: list[tuple[str, Run]] = []
        self.added = 0
        self.forgotten: set[int] = set()
        self.claimed: set[tuple[int, int]] = set()
        self.retried: dict[int, Run] = {}
        self._runs: list[Run] = []
        self._read_at: int | None = None

    def draw(self, strategy: st.SearchStrategy[T]) -> T:
        return self.data.draw(strategy)

    def mostly(self) -> bool:
        return self.draw(st.sampled_from([True, True, False]))

    def runs(self, *states: State) -> list[Run]:
        # Read anew only after a change: the invariants ask for them many times in between.
        if self._read_at != self.connection.total_changes or self.connection.in_transaction:
            self._runs = self.store.runs.select()
            self._read_at = self.connection.total_changes
        return [run for run in self._runs if not states or run.state in states]

    def running(self) -> list[Run]:
        return self.runs(State.RUNNING)

    def in_order(self) -> list[Run]:
        """All that is queued, high before low, then first in first out."""
        return sorted(self.runs(State.QUEUED), key=lambda run: (run.priority, run.turn, run.id))

    def as_it_is(self, run: Run) -> Run:
        found = self.store.runs.get(run.id)
        assert found is not None
        return found

    def possible(self) -> list[str]:
        """Return the possible acts; one that is listed more than once is likelier."""
        happenings = ["time_passes", "runs_are_forgotten"]
        if len(self.runs()) < 8:
            happenings += ["tasks_are_queued"] * 4
        if self.beliefs:
            happenings += ["an_attempt_ends"] * (5 if self.running() else 1)
        if self.runs():
            happenings += ["a_person_changes_a_run"] * 3 + ["a_run_is_dequeued"] * 2
        if self.runs(State.QUEUED, State.HELD):
            happenings += ["runs_are_moved"]
        return happenings

    def time_passes(self) -> None:
        self.now += self.draw(st.integers(1, 40))

    def tasks_are_queued(self) -> None:
        for task in self.draw(st.lists(TASKS, min_size=1, max_size=4)):
            with transaction(self.connection, NOWHERE):
                id_ = self.store.submissions.add(task, self.now, trigger=Trigger.MANUAL)
            self.added += 1
            assert id_ == self.added, "ids are given in order, and none twice"

    def an_attempt_ends(self) -> None:
        """A server says so, in most cases of a run that runs, be this attempt still the server's or not."""
        running = {run.id for run in self.running()}
        news = [(server, run) for server, run in self.beliefs if run.id in running]
        server, run = self.draw(st.sampled_from(news if news and self.mostly() else self.beliefs))
        end, code = self.draw(ENDS)
        before = self.store.runs.get(run.id)
        with transaction(self.connection, NOWHERE):
            told = self.store.lifecycle.finish(
                Outcome(run=run, end=end, at=self.now, exit_code=code, why="so"), server
            )
        after = self.store.runs.get(run.id)
        if before is None or (before.state, before.server, before.attempt) != (State.RUNNING, server, run.attempt):
            event("a server speaks up too late")
            assert told is None
            assert after == before
            return
        assert after is not None
        assert told == after
        assert before.cancel is None or after.state in ENDED, "a cancelled run was queued again"
        if end is not End.NEVER_STARTED:
            self.retried.pop(run.id, None)
        elif after.state in ENDED:
            self.is_as_before_its_retry(after, "cancelled")
        attempts = [attempt.number for attempt in self.store.runs.attempts(after)]
        assert (run.attempt in attempts) == (end is not End.NEVER_STARTED)

    def a_person_changes_a_run(self) -> None:
        """Something that can be done, in most cases."""
        deed = self.draw(st.sampled_from(sorted(DEEDS)))
        fitting = self.runs(*DEEDS[deed])
        run = self.draw(st.sampled_from(fitting if fitting and self.mostly() else self.runs()))
        try:
            with transaction(self.connection, NOWHERE):
                if deed == "cancel":
                    assert self.store.lifecycle.cancel(run, "cancelled", self.now) is self.as_it_is(run).state
                elif deed == "retry":
                    self.store.lifecycle.retry([run])
                else:
                    getattr(self.store.lifecycle, deed)(run)
        except RunError:
            assert run not in fitting
            assert self.as_it_is(run) == run
        else:
            assert run in fitting
            after = self.as_it_is(run)
            assert after != run or (deed, run.cancel) == ("cancel", "cancelled")
            if deed == "retry":
                assert (after.failures, after.losses) == (0, 0)
                self.retried[run.id] = run
            elif deed == "cancel" and after.state in ENDED:
                self.is_as_before_its_retry(after, "cancelled")

    def is_as_before_its_retry(self, run: Run, reason: str) -> None:
        """A run that was taken off the queue had ended before, if it was retried, and has not begun since."""
        before = self.retried.pop(run.id, None)
        if before is None:
            assert (run.state, run.reason) == (State.ABORTED, reason)
        else:
            assert msgspec.structs.replace(run, attempt=before.attempt) == before

    def runs_are_moved(self) -> None:
        waiting = self.runs(State.QUEUED, State.HELD)
        moved = self.draw(st.lists(st.sampled_from(waiting), min_size=1, max_size=2, unique_by=lambda run: run.id))
        others = [run for run in waiting if run not in moved and run.priority is moved[0].priority]
        with transaction(self.connection, NOWHERE):
            if others and len({run.priority for run in moved}) == 1:
                move = self.draw(st.sampled_from([self.store.places.move_before, self.store.places.move_after]))
                move(moved, self.draw(st.sampled_from(others)))
            else:
                self.draw(st.sampled_from([self.store.places.move_first, self.store.places.move_last]))(moved)

    def a_run_is_dequeued(self) -> None:
        """One that was tried, if there is one; or the first of a queue: of the ready ones, or else the soonest."""
        tried = [run for run in self.runs(State.QUEUED) if self.store.runs.attempts(run)]
        run = self.draw(st.sampled_from(tried if tried and self.mostly() else self.runs()))
        line = [waiting for waiting in self.in_order() if waiting.queue == run.queue]
        ready = [waiting for waiting in line if waiting.ready_at is None]
        soonest = min(line, key=lambda waiting: waiting.ready_at or 0.0, default=None)
        first = self.store.queues.first(run.queue)
        assert first == (ready[0] if ready else soonest)
        if first is not None and self.draw(st.booleans()):
            run = first
        attempts = self.store.runs.attempts(run)
        try:
            with transaction(self.connection, NOWHERE):
                is_forgotten = self.store.lifecycle.dequeue(run, "dequeued", self.now)
        except RunError:
            assert run.state is not State.QUEUED
            assert self.as_it_is(run) == run
            return
        assert run.state is State.QUEUED
        assert is_forgotten == (not attempts)
        if is_forgotten:
            event("a dequeued run is forgotten")
            self.forgotten.add(run.id)
        else:
            event("a dequeued run keeps its attempts")
            after = self.as_it_is(run)
            self.is_as_before_its_retry(after, "dequeued")
            assert self.store.runs.attempts(after) == attempts

    def runs_are_forgotten(self) -> None:
        """Those that were over long ago, even if others are named as well."""
        over = {run.id for run in self.runs(*ENDED) if (run.finished_at or 0.0) < self.now - 60}
        with transaction(self.connection, NOWHERE):
            old = self.store.runs.ended_before(self.now - 60, limit=2)
            assert over.issuperset(old) and len(old) == min(2, len(over))
            self.store.runs.forget([*old, *(run.id for run in self.runs(State.HELD, State.QUEUED, State.RUNNING))])
        self.forgotten |= set(old)
