"""Whatever servers, people and crashes do in whatever order: what must hold of runs holds.

The store is the real one, over the real schema. Servers are only names here, and what each believes to hold.
"""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aqueue.capacity import Limits, waiting_for
from aqueue.db import transaction
from aqueue.errors import RunError
from aqueue.folder import Folder
from aqueue.models import ENDED, FOLLOWERS, Priority, Retries, Run, Server, State, Task, Trigger
from aqueue.outcomes import MOST_LOSSES, End, Outcome
from aqueue.store import Store
from tests.unit.blank import blank_database
from tests.unit.records import a_task

# When it fails, finding a short example takes its time.
pytestmark = pytest.mark.timeout(600)

NOWHERE = Folder(Path("/nowhere"))

tasks = st.builds(
    a_task,
    name=st.sampled_from(["train", "eval"]),
    queue=st.sampled_from([None, None, "gpu"]),
    priority=st.sampled_from(Priority),
    hold=st.sampled_from([False, False, True]),
    requeue=st.sampled_from([True, True, False]),
    retries=st.builds(Retries, limit=st.integers(0, 2), delay=st.sampled_from([0.0, 30.0])),
)
ends = st.sampled_from(
    [
        (End.EXITED, 0),
        (End.EXITED, 1),
        (End.EXITED, 137),
        (End.TIMED_OUT, 143),
        (End.STOPPED, 143),
        (End.FAILED_TO_START, None),
        (End.LOST, None),
        (End.LOST, None),
        (End.NEVER_STARTED, None),
    ]
)


# What people may do to runs in which states.
DEEDS = {
    "cancel": (State.HELD, State.QUEUED, State.RUNNING),
    "hold": (State.QUEUED,),
    "release": (State.HELD,),
    "retry": tuple(ENDED),
}


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.connection = blank_database()
        self.store = Store(self.connection)
        self.now = 1000.0
        self.limits = Limits(jobs=1)
        self.servers = 0
        self.living: list[str] = []
        self.beliefs: list[tuple[str, Run]] = []
        self.added = 0
        self.forgotten: set[int] = set()
        self.last: dict[int, Run] = {}
        self.claimed: set[tuple[int, int]] = set()

    def teardown(self) -> None:
        self.connection.close()

    def runs(self, *states: State) -> list[Run]:
        return self.store.select(states=states)

    def running(self) -> list[Run]:
        return self.runs(State.RUNNING)

    def now_as(self, run: Run) -> Run:
        found = self.store.get(run.id)
        assert found is not None
        return found

    def next_in_line(self, server: str) -> list[int]:
        """Which runs a server is to get, said in the plainest way: high before low, then first in first out."""
        taken = {run.queue for run in self.running()}
        jobs = sum(run.server == server for run in self.running())
        ids: list[int] = []
        for run in sorted(self.runs(State.QUEUED), key=lambda run: (run.priority, run.id)):
            is_ready = run.ready_at is None or run.ready_at <= self.now
            if is_ready and run.queue not in taken and jobs + len(ids) < self.limits.jobs:
                taken.add(run.queue)
                ids.append(run.id)
        return ids

    def give(self, server: str) -> None:
        expected = self.next_in_line(server)
        with transaction(self.connection, NOWHERE):
            given = self.store.claim(server, self.limits, self.now)
        assert [run.id for run in given] == expected
        for run in given:
            assert (run.id, run.attempt) not in self.claimed, "an attempt was given out twice"
            self.claimed.add((run.id, run.attempt))
            assert run == self.now_as(run)
            assert (run.state, run.server, run.started_at) == (State.RUNNING, server, self.now)
        self.beliefs += [(server, run) for run in given]

    # What happens

    @initialize()
    def the_first_server_comes_up(self) -> None:
        self.a_server_comes_up()

    @precondition(lambda self: len(self.living) < 3)
    @rule()
    def a_server_comes_up(self) -> None:
        self.servers += 1
        server = f"server-{self.servers}"
        self.living.append(server)
        with transaction(self.connection, NOWHERE):
            self.store.enter(
                Server(
                    id=server,
                    pid=1,
                    boot=f"boot of {server}",
                    jobs=1,
                    started_at=float(self.servers),
                    heartbeat_at=0.0,
                )
            )

    @precondition(lambda self: self.added < len(self.forgotten) + 6)
    @rule(task=tasks)
    def a_task_is_queued(self, task: Task) -> None:
        with transaction(self.connection, NOWHERE):
            id_ = self.store.add(task, self.now, trigger=Trigger.MANUAL)
        self.added += 1
        assert id_ == self.added, "ids are given in order, and none twice"

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(jobs=st.integers(1, 3))
    def another_number_of_jobs_is_allowed(self, jobs: int) -> None:
        self.limits = Limits(jobs=jobs)

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def a_server_claims(self, data: st.DataObject) -> None:
        self.give(data.draw(st.sampled_from(self.living)))

    @precondition(lambda self: self.living)
    @rule()
    def all_servers_claim_and_every_run_that_waits_says_for_what(self) -> None:
        for server in self.living:
            self.give(server)
        waiting = self.runs(State.QUEUED, State.HELD)
        for run, line in zip(waiting, self.store.lines(waiting, len(self.living)), strict=True):
            assert waiting_for(run, line, self.limits, self.now)

    @precondition(lambda self: self.beliefs)
    @rule(data=st.data(), ended=ends, is_old_news=st.sampled_from([False, False, True]))
    def a_server_says_how_an_attempt_ended(
        self, data: st.DataObject, ended: tuple[End, int | None], is_old_news: bool
    ) -> None:
        going_on = {(run.id, run.attempt) for run in self.running()}
        news = [belief for belief in self.beliefs if (belief[1].id, belief[1].attempt) in going_on]
        server, run = data.draw(st.sampled_from(self.beliefs if is_old_news or not news else news))
        end, code = ended
        before = self.now_as(run)
        is_its = (before.state, before.server, before.attempt) == (State.RUNNING, server, run.attempt)
        outcome = Outcome(run=run, end=end, at=self.now, exit_code=code, why="so it was")
        with transaction(self.connection, NOWHERE):
            told = self.store.finish(outcome, server)
        after = self.now_as(run)
        if not is_its:
            assert told is None
            assert after == before
            return
        assert told == after
        if before.cancel is not None:
            assert after.state in ENDED, "a cancelled run was queued again"
        attempts = [attempt.number for attempt in self.store.attempts(after)]
        assert (run.attempt in attempts) == (end is not End.NEVER_STARTED)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), is_noticed=st.booleans())
    def a_server_dies_or_is_taken_for_dead(self, data: st.DataObject, is_noticed: bool) -> None:
        self.living.remove(data.draw(st.sampled_from(self.living)))
        if is_noticed and self.living:
            self.a_server_adopts(data)

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def a_server_adopts(self, data: st.DataObject) -> None:
        heir = data.draw(st.sampled_from(self.living))
        orphans = [run for run in self.running() if run.server not in self.living]
        with transaction(self.connection, NOWHERE):
            adopted = self.store.adopt(heir, self.living)
        assert [run for run, _ in adopted] == [msgspec.structs.replace(run, server=heir) for run in orphans]
        assert [boot for _, boot in adopted] == [f"boot of {run.server}" for run in orphans]
        assert [server.id for server in self.store.servers()] == self.living
        self.beliefs += [(heir, run) for run, _ in adopted]

    @precondition(lambda self: self.added > len(self.forgotten))
    @rule(data=st.data(), deed=st.sampled_from(sorted(DEEDS)), in_vain=st.sampled_from([False, False, True]))
    def a_person_changes_a_run(self, data: st.DataObject, deed: str, in_vain: bool) -> None:
        fitting = DEEDS[deed]
        runs = self.runs() if in_vain else self.runs(*fitting)
        assume(runs)
        run = data.draw(st.sampled_from(runs))
        try:
            with transaction(self.connection, NOWHERE):
                if deed == "cancel":
                    assert self.store.cancel(run, "cancelled", self.now) is self.now_as(run).state
                else:
                    getattr(self.store, deed)(run)
        except RunError:
            assert run.state not in fitting
            assert self.now_as(run) == run
        else:
            assert run.state in fitting
            assert self.now_as(run) != run or (deed == "cancel" and run.cancel is not None)

    @rule()
    def runs_are_forgotten(self) -> None:
        over = [run.id for run in self.runs(*ENDED) if (run.finished_at or 0.0) < self.now - 60]
        with transaction(self.connection, NOWHERE):
            ids = self.store.ended_before(self.now - 60, limit=2)
            self.store.forget(ids)
        assert ids == over[:2]
        self.forgotten |= set(ids)
        self.beliefs = [(server, run) for server, run in self.beliefs if run.id not in self.forgotten]

    # What holds at all times

    @invariant()
    def a_run_goes_only_where_its_state_may_go_and_is_left_alone_otherwise(self) -> None:
        for run in self.runs():
            before = self.last.get(run.id)
            if before is None:
                assert run.state is (State.HELD if run.task.hold else State.QUEUED)
            elif run.state is before.state:
                assert msgspec.structs.replace(run, server=before.server, cancel=before.cancel) == before
            else:
                assert run.state in FOLLOWERS[before.state], f"{before.state} → {run.state}"
                assert run.attempt - before.attempt == (run.state is State.RUNNING)
        self.last = {run.id: run for run in self.runs()}

    @invariant()
    def no_run_vanishes(self) -> None:
        ids = {run.id for run in self.runs()}
        assert ids == set(range(1, self.added + 1)) - self.forgotten

    @invariant()
    def no_queue_has_more_runs_than_slots(self) -> None:
        assert all(count == 1 for count in Counter(run.queue for run in self.running()).values())

    @invariant()
    def what_a_run_says_about_itself_fits_its_state(self) -> None:
        for run in self.runs():
            assert (run.server is not None) == (run.state is State.RUNNING)
            assert (run.finished_at is not None) == (run.state in ENDED)
            assert run.cancel is None or run.state is State.RUNNING
            assert run.ready_at is None or run.state in (State.QUEUED, State.HELD)
            assert run.failures <= run.task.retries.limit + (run.state in ENDED)
            assert run.losses <= MOST_LOSSES

    @invariant()
    def the_attempts_of_a_run_are_in_order_and_only_the_last_may_go_on(self) -> None:
        for run in self.runs():
            attempts = self.store.attempts(run)
            numbers = [attempt.number for attempt in attempts]
            assert numbers == sorted(set(numbers))
            assert all((run.id, number) in self.claimed for number in numbers)
            going_on = [attempt.number for attempt in attempts if attempt.finished_at is None]
            assert going_on == ([run.attempt] if run.state is State.RUNNING else [])
            assert all(attempt.started_at <= (attempt.finished_at or self.now) for attempt in attempts)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=80, stateful_step_count=50)
