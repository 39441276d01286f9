"""A small world for runs to live in: servers that come, claim, die and adopt, and people who change their minds.

The store is the real one, over the real schema. Servers are only names here, and what each believes to hold: one
that is taken for dead may well speak up later. Each happening checks that the store did what it should do.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from hypothesis import strategies as st

from aqueue.capacity import Limits, waiting_for
from aqueue.db import transaction
from aqueue.errors import RunError
from aqueue.folder import Folder
from aqueue.models import ENDED, Priority, Retries, Run, Server, State, Trigger
from aqueue.outcomes import End, Outcome
from aqueue.store import Store
from tests.unit.blank import blank_database
from tests.unit.records import a_task

T = TypeVar("T")

NOWHERE = Folder(Path("/nowhere"))

TASKS = st.builds(
    a_task,
    name=st.sampled_from(["train", "eval"]),
    queue=st.sampled_from([None, None, "gpu"]),
    priority=st.sampled_from(Priority),
    hold=st.sampled_from([False, False, True]),
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
        self.limits = Limits(jobs=1)
        self.servers = 0
        self.living: list[str] = []
        self.beliefs: list[tuple[str, Run]] = []
        self.added = 0
        self.forgotten: set[int] = set()
        self.claimed: set[tuple[int, int]] = set()

    def draw(self, strategy: st.SearchStrategy[T]) -> T:
        return self.data.draw(strategy)

    def mostly(self) -> bool:
        return self.draw(st.sampled_from([True, True, False]))

    def runs(self, *states: State) -> list[Run]:
        return self.store.select(states=states)

    def running(self) -> list[Run]:
        return self.runs(State.RUNNING)

    def as_it_is(self, run: Run) -> Run:
        found = self.store.get(run.id)
        assert found is not None
        return found

    def possible(self) -> list[str]:
        """What can happen now; what is said more than once is likelier."""
        happenings = ["time_passes"] * 2 + ["runs_are_forgotten"]
        if len(self.runs()) < 6:
            happenings += ["a_task_is_queued"] * 4
        if len(self.living) < 3:
            happenings += ["a_server_comes_up"] * 2
        if self.living:
            happenings += ["the_jobs_change", "a_server_adopts", "all_servers_claim"]
            happenings += ["a_server_dies_or_is_taken_for_dead"] * 2
            happenings += ["a_server_claims"] * (6 if self.runs(State.QUEUED) else 1)
        if self.beliefs:
            happenings += ["an_attempt_ends"] * (6 if self.running() else 1)
        if self.runs():
            happenings += ["a_person_changes_a_run"] * 4
        return happenings

    def time_passes(self) -> None:
        self.now += self.draw(st.integers(1, 40))

    def the_jobs_change(self) -> None:
        self.limits = Limits(jobs=self.draw(st.integers(1, 3)))

    def a_task_is_queued(self) -> None:
        with transaction(self.connection, NOWHERE):
            id_ = self.store.add(self.draw(TASKS), self.now, trigger=Trigger.MANUAL)
        self.added += 1
        assert id_ == self.added, "ids are given in order, and none twice"

    def a_server_comes_up(self) -> None:
        self.servers += 1
        id_, boot, at = f"server-{self.servers}", f"boot of server-{self.servers}", float(self.servers)
        with transaction(self.connection, NOWHERE):
            self.store.enter(Server(id=id_, pid=1, boot=boot, jobs=1, started_at=at, heartbeat_at=at))
        self.living.append(id_)

    def a_server_dies_or_is_taken_for_dead(self) -> None:
        self.living.remove(self.draw(st.sampled_from(self.living)))
        if self.living and self.mostly():
            self.a_server_adopts()

    def a_server_adopts(self) -> None:
        heir = self.draw(st.sampled_from(self.living))
        orphans = [run for run in self.running() if run.server not in self.living]
        with transaction(self.connection, NOWHERE):
            adopted = self.store.adopt(heir, self.living)
        assert [run for run, _ in adopted] == [msgspec.structs.replace(run, server=heir) for run in orphans]
        assert [boot for _, boot in adopted] == [f"boot of {run.server}" for run in orphans]
        assert [server.id for server in self.store.servers()] == self.living
        self.beliefs += [(heir, run) for run, _ in adopted]

    def a_server_claims(self) -> None:
        self._give(self.draw(st.sampled_from(self.living)))

    def all_servers_claim(self) -> None:
        for server in self.living:
            self._give(server)
        waiting = self.runs(State.QUEUED, State.HELD)
        for run, line in zip(waiting, self.store.lines(waiting, len(self.living)), strict=True):
            assert waiting_for(run, line, self.limits, self.now), "a run waits and does not say for what"

    def _give(self, server: str) -> None:
        expected = self._next_in_line(server)
        with transaction(self.connection, NOWHERE):
            given = self.store.claim(server, self.limits, self.now)
        assert [run.id for run in given] == expected
        for run in given:
            assert (run.id, run.attempt) not in self.claimed, "an attempt was given out twice"
            self.claimed.add((run.id, run.attempt))
            assert run == self.as_it_is(run)
            assert (run.state, run.server, run.started_at) == (State.RUNNING, server, self.now)
        self.beliefs += [(server, run) for run in given]

    def _next_in_line(self, server: str) -> list[int]:
        """Which runs a server is to get, said in the plainest way: high before low, then first in first out."""
        taken = {run.queue for run in self.running()}
        free = self.limits.jobs - sum(run.server == server for run in self.running())
        ids: list[int] = []
        for run in sorted(self.runs(State.QUEUED), key=lambda run: (run.priority, run.id)):
            is_ready = run.ready_at is None or run.ready_at <= self.now
            if is_ready and run.queue not in taken and len(ids) < free:
                taken.add(run.queue)
                ids.append(run.id)
        return ids

    def an_attempt_ends(self) -> None:
        """A server says so, in most cases of a run that runs, be this attempt still the server's or not."""
        running = {run.id for run in self.running()}
        news = [(server, run) for server, run in self.beliefs if run.id in running]
        server, run = self.draw(st.sampled_from(news if news and self.mostly() else self.beliefs))
        end, code = self.draw(ENDS)
        before = self.as_it_is(run)
        is_its = (before.state, before.server, before.attempt) == (State.RUNNING, server, run.attempt)
        with transaction(self.connection, NOWHERE):
            told = self.store.finish(Outcome(run=run, end=end, at=self.now, exit_code=code, why="so"), server)
        after = self.as_it_is(run)
        if not is_its:
            assert told is None
            assert after == before
            return
        assert told == after
        assert before.cancel is None or after.state in ENDED, "a cancelled run was queued again"
        attempts = [attempt.number for attempt in self.store.attempts(after)]
        assert (run.attempt in attempts) == (end is not End.NEVER_STARTED)

    def a_person_changes_a_run(self) -> None:
        """Something that can be done, in most cases."""
        deed = self.draw(st.sampled_from(sorted(DEEDS)))
        fitting = self.runs(*DEEDS[deed])
        run = self.draw(st.sampled_from(fitting if fitting and self.mostly() else self.runs()))
        try:
            with transaction(self.connection, NOWHERE):
                if deed == "cancel":
                    assert self.store.cancel(run, "cancelled", self.now) is self.as_it_is(run).state
                else:
                    getattr(self.store, deed)(run)
        except RunError:
            assert run not in fitting
            assert self.as_it_is(run) == run
        else:
            assert run in fitting
            after = self.as_it_is(run)
            assert after != run or (deed, run.cancel) == ("cancel", "cancelled")
            assert deed != "retry" or (after.failures, after.losses) == (0, 0)

    def runs_are_forgotten(self) -> None:
        """Those that were over long ago, even if others are named as well."""
        over = [run.id for run in self.runs(*ENDED) if (run.finished_at or 0.0) < self.now - 60]
        with transaction(self.connection, NOWHERE):
            assert self.store.ended_before(self.now - 60, limit=2) == over[:2]
            self.store.forget([*over[:2], *(run.id for run in self.runs(State.HELD, State.QUEUED, State.RUNNING))])
        self.forgotten |= set(over[:2])
        self.beliefs = [(server, run) for server, run in self.beliefs if run.id not in self.forgotten]
