"""Random acts of clocks, servers, files and people: each due time has one run, and no other time has any."""

import math

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import State
from aqueue.model.schedule import Overlap
from aqueue.policy.limits import Limits
from aqueue.store.store import Store
from tests.integration.planning import BEGIN, DISABLED, ENABLED, a_schedule, at
from tests.unit.blank import blank_database

# When it fails, finding a short example takes its time.
pytestmark = [pytest.mark.timeout(600), pytest.mark.at_length]

NAMES = ("a", "b")
LIVE = 1.0


class Known(msgspec.Struct):
    """The model of a schedule; all times are in minutes.

    Attributes:
        step: it is due whenever the minutes can be divided by that; None once it has ended.
        since: when it came to be as it is: what was due before is not missed, whatever the clock shows again.
        pending: from where on, and as of when, there is something to decide about.
    """

    handled: float
    step: int | None = None
    window: float = 0.0
    overlap: Overlap = Overlap.ALL
    is_paused: bool = False
    since: float = -math.inf
    pending: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self.begin(self.handled)

    def begin(self, now: float) -> None:
        """It counts from now on."""
        self.handled = max(self.handled, now)
        self.since = max(self.since, now)

    def miss(self, now: float) -> None:
        """There is something to decide about."""
        self.pending = (self.pending[0] if self.pending else max(self.handled, self.since), now)

    def due(self, after: float, until: float) -> set[float]:
        """Return the due times after a moment, up to and including another."""
        assert self.step is not None
        first = int(after // self.step) + 1
        return {float(number * self.step) for number in range(first, int(until // self.step) + 1)}


class Times(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.connection = blank_database()
        self.store = Store(self.connection)
        self.now = 0.0
        self.latest = 0.0
        self.limits: Limits | None = ENABLED
        self.files: dict[str, tuple[int, float, Overlap]] = {"a": (10, 45.25, Overlap.ALL)}
        self.known: dict[str, Known] = {}
        self.made: dict[str, set[float]] = {name: set() for name in NAMES}
        self.read("a", is_edit=True)

    def teardown(self) -> None:
        self.connection.close()

    # One rule, so that no example is without most of what can happen.
    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.data = data
        up = ["time_passes", "the_machine_sleeps", "the_server_goes", "a_server_dies_over_what_was_missed"]
        down = ["time_passes", "a_server_comes"]
        always = ["the_clock_is_put_back", "a_file_changes", "a_file_vanishes", "a_person_pauses_or_resumes",
                  "a_run_starts_or_ends"]  # fmt: skip
        getattr(self, data.draw(st.sampled_from(always + 2 * (up if self.limits else down))))()

    @invariant()
    def each_time_has_one_run_and_none_is_of_the_future(self) -> None:
        runs = self.store.runs.select()
        for name in NAMES:
            made = [run.scheduled_for or 0.0 for run in runs if run.name == name]
            assert sorted(made) == sorted(map(at, self.made[name]))
            assert len(made) == len(set(made))
        assert all(run.scheduled_for and run.scheduled_for <= run.created_at <= at(self.latest) for run in runs)

    def time_passes(self) -> None:
        until = self.now + self.minutes()
        late = self.data.draw(st.sampled_from([0.0001, 0.5, LIVE]))
        if self.limits is not None:
            while (due := self.store.queues.outlook(self.limits, at(self.now)).next_due) and due <= at(until):
                self.go_to((due - BEGIN) / 60 + late)
                self.look()
        self.go_to(max(until, self.now))
        self.look()

    def the_machine_sleeps(self) -> None:
        self.go_to(self.now + self.minutes())
        self.look()

    def the_clock_is_put_back(self) -> None:
        self.now -= self.minutes()
        self.look()

    def a_server_comes(self) -> None:
        self.limits = self.data.draw(st.sampled_from([ENABLED, ENABLED, DISABLED]))
        self.follow_clock()
        for name in NAMES:
            self.read(name, is_edit=False)
        self.look()

    def the_server_goes(self) -> None:
        self.limits = None

    def a_server_dies_over_what_was_missed(self) -> None:
        self.go_to(self.now + self.minutes())
        self.make_due()
        self.limits = None

    def a_file_changes(self) -> None:
        step = self.data.draw(st.sampled_from([10, 15, 20, 30]))
        window = self.data.draw(st.sampled_from([0.0, 0.5, 20.0, 45.25, 1000.0]))
        name = self.a_name()
        self.files[name] = (step, window, self.data.draw(st.sampled_from(Overlap)))
        if self.limits is not None:
            self.read(name, is_edit=True)
            self.look()

    def a_file_vanishes(self) -> None:
        name = self.a_name()
        self.files.pop(name, None)
        if self.limits is not None:
            self.read(name, is_edit=True)

    def a_person_pauses_or_resumes(self) -> None:
        known = self.known.get(name := self.a_name())
        if known is None or known.step is None:
            return
        if known.is_paused:
            assert self.store.schedules.resume(name, at(self.now))
            known.begin(self.now)
        else:
            self.store.schedules.pause(name, at(self.now))
            if known.due(known.handled, self.now):
                known.miss(self.now)
        known.is_paused = not known.is_paused
        self.look()

    def a_run_starts_or_ends(self) -> None:
        running = self.store.runs.in_state(State.RUNNING)
        ends = self.data.draw(st.booleans())
        if running and ends:
            run = self.data.draw(st.sampled_from(running))
            outcome = Outcome(run=run, end=End.EXITED, exit_code=0, at=at(self.now))
            assert self.store.lifecycle.finish(outcome, "server") is not None
        else:
            self.store.claims.claim("server", self.limits or ENABLED, at(self.now))

    # What a server does, and what is to come of it

    def look(self) -> None:
        if self.limits is None:
            return
        self.follow_clock()
        self.make_due()
        for name in self.known:
            self.decide(name)
        while self.store.due_times.catch_up(self.limits):
            pass

    def decide(self, name: str) -> None:
        """Make up for missed times with the versions in force."""
        known = self.known[name]
        if known.pending is None or self.limits is None or known.is_paused:
            return
        after, until = known.pending
        window = 0.0 if self.limits.disabled_by else known.window
        # What is a minute late, to the instant, is not missed.
        self.made[name] |= {due for due in known.due(max(after, until - window), until) if due < until - LIVE}
        known.pending = None

    def follow_clock(self) -> None:
        self.store.due_times.follow_clock(at(self.now))
        for known in self.known.values():
            if known.step is not None and known.handled > self.now + LIVE:
                known.handled = self.now

    def make_due(self) -> None:
        assert self.limits is not None
        self.store.due_times.make(self.limits, at(self.now))
        for name, known in self.known.items():
            if known.step is None or known.is_paused or not (due := known.due(known.handled, self.now)):
                continue
            if min(due) < self.now - LIVE:
                known.miss(self.now)
            self.made[name] |= {moment for moment in due if moment >= self.now - LIVE}
            known.handled = self.now

    def read(self, name: str, *, is_edit: bool) -> None:
        """Have the store know what a file says, or that it is gone."""
        found = []
        known = self.known.get(name)
        if name in self.files:
            step, window, overlap = self.files[name]
            found.append(a_schedule(f"*/{step} * * * *", name=name, window=window, overlap=overlap))
            if known is None:
                known = self.known[name] = Known(self.now)
            elif (known.step, known.window, known.overlap) != self.files[name]:
                self.decide(name)
                if is_edit or known.step is None:
                    known.begin(self.now)
            known.step, known.window, known.overlap = self.files[name]
        elif known is not None:
            known.step = known.pending = None
            known.is_paused = False
        self.store.schedules.apply_file(
            f"{name}.yaml",
            found,
            at(self.now),
            is_edit=is_edit,
            holds=lambda file, _: file[0] in self.files,
            limits=self.limits or ENABLED,
        )

    def go_to(self, moment: float) -> None:
        self.now = moment
        self.latest = max(self.latest, moment)

    def minutes(self) -> float:
        return self.data.draw(st.sampled_from([0.25, 1.0, 5.0, 10.0, 59.75, 60.0, 61.0]))

    def a_name(self) -> str:
        return self.data.draw(st.sampled_from(NAMES))


TestTimes = Times.TestCase
TestTimes.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
