"""Random acts of servers, people and crashes: the invariants of runs hold."""

from collections import Counter

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aqueue.model.run import ENDED, TRANSITIONS, Run, State
from aqueue.policy.retry import MAX_LOSSES
from aqueue.store.queues import Outlook
from tests.unit.queues_world import QueuesWorld

# When it fails, finding a short example takes its time.
pytestmark = [pytest.mark.timeout(600), pytest.mark.at_length]


class Life(QueuesWorld, RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.last: dict[int, Run] = {}
        self.filled: Counter[str] = Counter()

    def teardown(self) -> None:
        self.connection.close()

    @initialize(data=st.data())
    def somebody_begins(self, data: st.DataObject) -> None:
        self.data = data
        self.the_folder_is_set_up()

    # One rule, not one for each happening: of many rules Hypothesis leaves some out of most examples, and then
    # hardly a run comes to its end.
    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.data = data
        getattr(self, data.draw(st.sampled_from(self.possible())))()

    @invariant()
    def a_run_goes_only_where_its_state_may_go_and_is_left_alone_otherwise(self) -> None:
        for run in self.runs():
            before = self.last.get(run.id)
            if before is None:
                assert run.state is (State.HELD if run.task.hold else State.QUEUED)
            elif run.state is before.state:
                # Its server may die, somebody may cancel it, and its delay may be over.
                ready_at = before.ready_at if before.ready_at and before.ready_at <= self.now else run.ready_at
                same = {"server": before.server, "cancel": before.cancel, "ready_at": ready_at}
                # Somebody may move it.
                same["turn"] = before.turn if run.state in (State.QUEUED, State.HELD) else run.turn
                assert msgspec.structs.replace(run, **same) == before
            else:
                assert run.state in TRANSITIONS[before.state], f"{before.state} → {run.state}"
                assert run.attempt - before.attempt == (run.state is State.RUNNING)
        self.last = {run.id: run for run in self.runs()}

    @invariant()
    def the_head_of_each_queue_is_the_first_in_its_line(self) -> None:
        first: dict[str, int] = {}
        for run in sorted(self.runs(), key=lambda run: (run.priority, run.turn, run.id)):
            if run.state is State.QUEUED and run.ready_at is None:
                first.setdefault(run.queue, run.id)
        assert dict(self.connection.execute("SELECT queue, run FROM heads")) == first
        turns = self.connection.execute("SELECT heads.turn, runs.turn FROM heads JOIN runs ON run = id")
        assert all(known == turn for known, turn in turns)

    @invariant()
    def no_run_vanishes(self) -> None:
        assert {run.id for run in self.runs()} == set(range(1, self.added + 1)) - self.forgotten

    @invariant()
    def no_queue_has_more_runs_than_slots_but_while_it_drains(self) -> None:
        before, self.filled = self.filled, Counter(run.queue for run in self.running())
        for queue, count in self.filled.items():
            assert count <= max(self.slots(queue), before[queue]), f"{queue} has {count} runs"

    @invariant()
    def each_server_expects_what_there_is_in_its_queues(self) -> None:
        waiting = self.runs(State.QUEUED)
        delays = [run.ready_at for run in waiting if run.ready_at is not None and run.ready_at > self.now]
        for server in self.up:
            assert self.store.queues.outlook(self.limits(server), self.now) == Outlook(
                busy=any(self.serves(server, run) for run in waiting + self.running()),
                waiting=any(run.ready_at is None for run in waiting),
                next_ready=min(delays, default=None),
                servers=len(self.store.servers.all()),
                running=any(self.serves(server, run) for run in self.running()),
            )

    @invariant()
    def what_a_run_says_about_itself_fits_its_state(self) -> None:
        for run in self.runs():
            assert (run.server is not None) == (run.state is State.RUNNING)
            assert (run.finished_at is not None) == (run.state in ENDED)
            assert run.cancel is None or run.state is State.RUNNING
            assert run.ready_at is None or run.state in (State.QUEUED, State.HELD)
            assert run.failures <= run.task.retries.limit + (run.state in ENDED)
            assert run.losses <= MAX_LOSSES
            assert run.exit_code is None or run.state is not State.RUNNING

    @invariant()
    def the_attempts_of_a_run_are_in_order_and_only_the_last_may_go_on(self) -> None:
        for run in self.runs():
            attempts = self.store.runs.attempts(run)
            numbers = [attempt.number for attempt in attempts]
            assert numbers == sorted(set(numbers))
            assert all((run.id, number) in self.claimed for number in numbers)
            going_on = [attempt.number for attempt in attempts if attempt.finished_at is None]
            assert going_on == ([run.attempt] if run.state is State.RUNNING else [])
            assert all(attempt.started_at <= (attempt.finished_at or self.now) for attempt in attempts)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=50)
