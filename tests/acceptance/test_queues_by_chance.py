"""Random acts of people, and deaths of servers: limits and order hold, and each run runs once.

AQUEUE_CHAOS_SECONDS says for how long, and AQUEUE_CHAOS_SEED repeats the choices of an earlier time. Without them
it takes one round, of the same choices each time.
"""

import itertools
import json
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from aqueue.model.run import Run, State
from tests.acceptance.company import STALE_AFTER, Company
from tests.acceptance.witness import BRIEF, PATIENT, in_line, left
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

SECONDS = float(os.environ.get("AQUEUE_CHAOS_SECONDS", "0"))
SEED = int(os.environ.get("AQUEUE_CHAOS_SEED", random.randrange(1 << 32) if SECONDS else 0))

# In the order in which it all happens in the first example.
HAPPENINGS = (
    *("runs_are_enqueued", "runs_are_enqueued", "some_runs_end", "a_server_comes_up", "a_server_falls_asleep"),
    *("a_run_is_held", "limits_change", "some_runs_end", "a_server_wakes", "runs_are_enqueued", "some_runs_end"),
    *("the_first_is_dequeued", "a_server_is_killed", "some_runs_end", "a_run_is_released", "limits_change"),
    *("a_run_is_dequeued", "servers_are_told_to_stop", "a_run_is_added", "a_server_comes_up", "some_runs_end"),
)


class Queues(Company, RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place.init()
        self.steps = 0
        self.is_sound = True
        # A server tells how many jobs it has, and thereby which configuration it knows.
        self.jobs = 2
        self.configure()

    def teardown(self) -> None:
        try:
            if self.is_sound:
                with self.all_told():
                    self.everything_ends()
        finally:
            self.place.path("go").touch()
            for server in [*self.asleep]:
                self.wake(server)
            self.place.close()
            shutil.rmtree(self.place.base)

    @contextmanager
    def all_told(self) -> Iterator[None]:
        """Print what there is to know when it fails: Hypothesis tries again, which may go otherwise."""
        try:
            yield
        except Exception as error:
            self.is_sound = False
            traceback.print_exception(error, file=sys.stdout)
            print(*self.witness.lines(), *(server.text for server in self.servers), sep="\n")
            raise

    @initialize()
    def the_first_server_comes_up(self) -> None:
        with self.all_told():
            self.a_server_comes_up()

    # One rule, and draws that depend on nothing, because what is possible depends on how fast things go: what is
    # not gives way to the next. In the simplest example, which comes first, it all happens in turn.
    @rule(what=st.integers(0, len(HAPPENINGS) - 1), choices=st.integers(0, 1 << 16))
    def something_happens(self, what: int, choices: int) -> None:
        self.random = random.Random(f"{self.steps} {choices}")
        first = (what + self.steps) % len(HAPPENINGS)
        self.steps += 1
        with self.all_told():
            happened = next(name for name in HAPPENINGS[first:] + HAPPENINGS[:first] if getattr(self, name)())
            print(f"{time.monotonic():.3f} {happened}")
            self.look()
            if not self.asleep:
                eventually(lambda: all(record.jobs == self.jobs for record in self.records()))
                self.witness.limits_are_known()
            if {*self.up} - {*self.asleep}:
                eventually(self.witness.every_slot_is_used)
            self.look()

    def look(self) -> None:
        self.leaving = [server for server in self.leaving if server.process.poll() != 0]
        ended = [server for server in self.servers if server.process.poll() is not None]
        assert ended == [], ended[0].text
        self.witness.look()

    def everything_ends(self) -> None:
        for server in [*self.asleep]:
            self.wake(server)
        self.place.path("go").touch()
        if self.witness.held:
            self.place.run("release", *map(str, self.witness.held))
            self.witness.held.clear()
        if not self.up:
            self.up.append(self.place.serve())
        eventually(lambda: all(run.finished_at for run in self.witness.read_runs().values()))
        self.look()
        self.place.run("stop")
        assert {server.ends() for server in self.servers} == {0}
        assert {stop.wait(20) for stop in self.stops} <= {0}
        self.witness.look()
        codes = {row["id"]: row["exit_code"] for row in self.place.ls()}
        assert codes == {id_: id_ % 3 for id_ in self.witness.known - self.witness.dequeued}
        assert sorted(self.witness.begun) == sorted(self.witness.ended) == sorted(codes)

    # People

    def a_run_is_added(self) -> bool:
        priority, command = self.a_task()
        options = self.random.choice([["-u", "a"], ["-u", "b"], ["-u", "c"], ["-u", "other"], []])
        hold = self.random.choice([["--hold"], [], []])
        run = int(self.place.add(command, "-n", "solo", "--priority", priority, *options, *hold))
        self.witness.known.add(run)
        self.witness.held.update([run] if hold else [])
        return True

    def runs_are_enqueued(self) -> bool:
        tasks = []
        for _ in range(self.random.randint(8, 16)):
            queue = self.random.choice(["a", "a", "b", "b", "c", "c", "solo"])
            priority, command = self.a_task()
            tasks.append(f"queue: {queue}\npriority: {priority}\ncommand: {command}\n")
        self.place.path("solo.yaml").write_text("---\n".join(tasks))
        self.witness.known.update(map(int, self.place.run("enqueue", "solo.yaml").split()))
        return True

    def a_run_is_held(self) -> bool:
        run = self.one(State.QUEUED)
        if run and self.did(run, "hold", str(run.id)):
            self.witness.held.add(run.id)
        return run is not None

    def a_run_is_released(self) -> bool:
        run = self.one(State.HELD)
        if run:
            self.place.run("release", str(run.id))
            self.witness.held.remove(run.id)
        return run is not None

    def a_run_is_dequeued(self) -> bool:
        run = self.one(State.QUEUED)
        if run and self.did(run, "dequeue", run.queue, "-d", f"{run.name}:{run.run_id}"):
            self.witness.dequeued.add(run.id)
        return run is not None

    def the_first_is_dequeued(self) -> bool:
        waiting = in_line(self.witness.runs)
        queue = self.random.choice([run.queue for run in waiting] or ["a"])
        line = [run for run in waiting if run.queue == queue]
        done = self.place.ask("dequeue", queue)
        if done.returncode == 0:
            first = int(done.stdout.split()[0])
            self.witness.dequeued.add(first)
            line = list(itertools.takewhile(lambda run: run.id != first, line))
        else:
            assert f"no queued runs in queue '{queue}'" in done.stderr
        assert left(line, self.witness.read_runs()) == []
        return True

    def limits_change(self) -> bool:
        self.witness.limit(self.random.choice("abc"), self.random.randint(1, 4))
        self.jobs += 1
        self.configure()
        return True

    def some_runs_end(self) -> bool:
        if not self.witness.going_on():
            return False
        for _ in range(self.random.randint(1, 6)):
            going = self.witness.going_on()
            chosen = self.random.sample(going, min(self.random.randint(1, 2), len(going)))
            for run in chosen:
                self.place.path(f"go-{run}").touch()
            eventually(lambda: not {*chosen} & {*self.witness.going_on()})  # noqa: B023 - called at once
            self.look()
        return True

    # What there is to choose from

    def one(self, state: State) -> Run | None:
        found = [run for run in self.witness.runs.values() if run.state is state]
        return self.random.choice(found) if found else None

    def a_task(self) -> tuple[str, str]:
        return self.random.choice(["high", "low", "low"]), self.random.choice([BRIEF, PATIENT, PATIENT, PATIENT])

    def did(self, run: Run, *command: str) -> bool:
        """Return True if it was done to a run that was queued a moment ago; else it has started since."""
        done = self.place.ask(*command)
        assert done.returncode == 0 or self.witness.read_runs()[run.id].attempt > run.attempt, done
        return done.returncode == 0

    def configure(self) -> None:
        limits = self.witness.limits.items()
        configuration = {
            "heartbeat": {"interval": "0.1s", "stale_after": f"{STALE_AFTER}s"},
            "jobs": self.jobs,
            "queues": {"config": [{"name": name, "max_concurrency": slots} for name, slots in limits]},
        }
        self.place.drop("aqueue.yaml", json.dumps(configuration))


@pytest.mark.timeout(SECONDS * 2 + 180)
def test_whatever_happens_limits_and_order_hold_and_each_run_runs_once() -> None:
    print(f"AQUEUE_CHAOS_SEED={SEED}")
    deadline = time.monotonic() + SECONDS
    round_ = settings(
        max_examples=3,
        stateful_step_count=len(HAPPENINGS) + 1,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for seed in itertools.count(SEED):
        run_state_machine_as_test(hypothesis.seed(seed)(Queues), settings=round_)
        if time.monotonic() > deadline:
            break
