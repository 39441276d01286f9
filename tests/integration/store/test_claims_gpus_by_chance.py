"""Random acts of servers, people and strangers: no slot is given twice, and a run that can have GPUs gets them."""

from collections import Counter

import msgspec
import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aqueue.model.claim import ClaimResult, GpuView
from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import Gpu, GpuId, GpuProcess, GpuReading, GpuRequest
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, Run, State, Trigger
from aqueue.model.server import Server
from aqueue.model.task import Priority, Retries, Task
from aqueue.policy.limits import Limits
from aqueue.store.store import Store
from tests.unit.blank import blank_database

# When it fails, finding a short example takes its time.
pytestmark = [pytest.mark.timeout(600), pytest.mark.at_length]

GIB = 1 << 30
TOTAL = 24 * GIB
SERVERS: dict[str, tuple[tuple[GpuId, ...], ...]] = {
    "all": (),
    "left": ((0, 1),),
    "right": ((1, 2, 3), (0, 1, 2)),
}
LANE = Queue(name="lane", max_concurrency=3, gpus=(0, 2))
DEMANDS: list[tuple[int | tuple[GpuId, ...] | None, int | None]] = [
    *[(1, None)] * 3,
    (None, None),
    (0, None),
    (2, None),
    (3, None),
    (4, None),
    (1, 10 * GIB),
    (1, 20 * GIB),
    (2, 10 * GIB),
    ((0,), None),
    ((1, 2), None),
    (("GPU-2",), 5 * GIB),
    (1, 80 * GIB),
    ((7,), None),
]
TASKS = st.builds(
    lambda gpu_request, queue, priority, limit: Task(
        name="task",
        command="true",
        working_dir="/",
        queue=queue,
        priority=priority,
        retries=Retries(limit=limit),
        gpus=gpu_request[0],
        gpu_memory=gpu_request[1],
    ),
    st.sampled_from(DEMANDS),
    st.sampled_from(["a", "b", "c", "lane"]),
    st.sampled_from([Priority.LOW, Priority.LOW, Priority.HIGH]),
    st.integers(0, 1),
)
ENDS = st.sampled_from(
    [(End.EXITED, 0), (End.EXITED, 0), (End.EXITED, 1), (End.LOST, None), (End.NEVER_STARTED, None)]
)


class Cards(RuleBasedStateMachine):
    """Up to four cards, three servers that have some of them each, and strangers who compute on them, too.

    Attributes:
        strangers: the cards on which somebody else computes.
        broken: those that fail.
        up: the servers that live.
        giver: who has started the present attempt of each run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connection = blank_database()
        self.store = Store(self.connection)
        self.now = 1000.0
        self.strangers: set[int] = set()
        self.broken: set[int] = set()
        self.up: list[str] = []
        self.giver: dict[tuple[int, int], str] = {}
        self.last: dict[str, GpuReading | None] = dict.fromkeys(SERVERS)

    def teardown(self) -> None:
        self.connection.close()

    @initialize(cards=st.integers(1, 4), slots=st.integers(1, 3))
    def there_is_a_machine(self, cards: int, slots: int) -> None:
        self.cards = cards
        self.sharing = Rules(slots=slots)
        self._comes_up("all")

    def runs(self, *states: State) -> list[Run]:
        return self.store.runs.select(states=states)

    def limits(self, server: str) -> Limits:
        queues = {"lane": LANE} | {name: Queue(name=name, max_concurrency=4) for name in "ab"}
        return Limits(jobs=2, queues=queues, rules=self.sharing, owns=SERVERS[server])

    def look(self) -> GpuReading:
        """Each run of ours has allocated what it asked for."""
        found = []
        for index in range(self.cards):
            key = f"GPU-{index}"
            on_it = [lease for lease in self.store.gpus.leases() if lease.key == key]
            processes = [GpuProcess(pid=1, run=lease.run, memory=lease.memory) for lease in on_it]
            if index in self.strangers:
                processes.append(GpuProcess(pid=77))
            found.append(
                Gpu(
                    key=key,
                    index=index,
                    total=TOTAL,
                    free=TOTAL - sum(lease.memory or 0 for lease in on_it),
                    processes=tuple(processes),
                    error="does not answer" if index in self.broken else None,
                )
            )
        return GpuReading(began_at=self.now, ended_at=self.now, gpus=tuple(found))

    # One rule, so that no example is without most of what can happen.
    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.data = data
        self.now += data.draw(st.sampled_from([0.5, 1.0, 30.0]))
        happenings = ["tasks_are_queued", "a_server_claims", "a_server_claims", "a_card_changes"]
        happenings += ["a_server_comes_or_dies", "a_server_claims_by_an_old_look"]
        if self.runs(State.RUNNING):
            happenings += ["an_attempt_ends"] * 3
        if self.runs(State.QUEUED, State.RUNNING):
            happenings += ["a_run_is_cancelled"]
        if len(self.runs()) > 6:
            happenings += ["all_comes_to_its_end"]
        getattr(self, data.draw(st.sampled_from(happenings)))()

    def tasks_are_queued(self) -> None:
        for task in self.data.draw(st.lists(TASKS, min_size=1, max_size=3)):
            self.store.submissions.add(task, self.now, trigger=Trigger.MANUAL)

    def a_card_changes(self) -> None:
        """A stranger comes or goes; or it fails, or works again."""
        which = self.data.draw(st.sampled_from([self.strangers, self.strangers, self.broken]))
        which ^= {self.data.draw(st.integers(0, self.cards - 1))}

    def a_server_claims(self) -> None:
        self._claims(self.data.draw(st.sampled_from(self.up)))

    def a_server_claims_by_an_old_look(self) -> None:
        """One from before the present; it may be fresh still, or from before cards were given back."""
        server = self.data.draw(st.sampled_from(self.up))
        look = self.last[server]
        freed_at = self.store.gpus.freed_at()
        taken = self._taken(server, GpuView(look))
        with_cards = [run for run in taken.runs if run.gpus]
        if with_cards:
            assert look is not None
            assert self.now - look.began_at <= 2
            assert all(freed_at.get(card.key, 0.0) <= look.began_at for run in with_cards for card in run.gpus)
            event("cards are given by a look that is not the newest")

    def a_server_comes_or_dies(self) -> None:
        down = sorted({*SERVERS} - {*self.up})
        if down and (len(self.up) == 1 or self.data.draw(st.booleans())):
            self._comes_up(self.data.draw(st.sampled_from(down)))
        elif len(self.up) > 1:
            dead = self.data.draw(st.sampled_from(self.up))
            self.up.remove(dead)
            self._is_adopted()

    def an_attempt_ends(self) -> None:
        run = self.data.draw(st.sampled_from(self.runs(State.RUNNING)))
        end, code = self.data.draw(ENDS)
        self._ends(run, end, code)

    def a_run_is_cancelled(self) -> None:
        run = self.data.draw(st.sampled_from(self.runs(State.QUEUED, State.RUNNING)))
        self.store.lifecycle.cancel(run, "cancelled", self.now)

    def all_comes_to_its_end(self) -> None:
        """All strangers go, and all attempts succeed: whoever can be given cards by a server that lives, is."""
        self.strangers.clear()
        self.broken.clear()
        possible = {run.id for run in self.runs(State.QUEUED) if self._is_possible(run)}
        while True:
            self.now += 1
            for server in self.up:
                self._claims(server)
            running = self.runs(State.RUNNING)
            if not running:
                break
            for run in running:
                self._ends(run, End.EXITED, 0)
        waiting = {run.id for run in self.runs(State.QUEUED)}
        event("some wait for ever" if waiting else "all have been run")
        assert waiting.isdisjoint(possible), "a run could be given its cards and is not"
        assert self.store.gpus.leases() == []
        self.store.runs.forget([run.id for run in self.runs(*ENDED)])

    def _is_possible(self, run: Run) -> bool:
        gpu_request = run.task.gpu_request
        return gpu_request is None or any(
            len(self._usable(gpu_request, run.queue, server)) >= gpu_request.count for server in self.up
        )

    def _usable(self, gpu_request: GpuRequest, queue: str, server: str) -> set[int]:
        """The cards that a run may get from a server, if nothing else is on them."""
        usable = set(range(self.cards))
        confinements = [
            *SERVERS[server],
            *([LANE.gpus] if queue == "lane" else []),
            *([gpu_request.ids] if gpu_request.ids else []),
        ]
        for ids in confinements:
            assert ids is not None
            usable &= {int(str(id_).removeprefix("GPU-")) for id_ in ids}
        return usable if (gpu_request.memory or 0) <= TOTAL else set()

    def _comes_up(self, server: str) -> None:
        record = Server(
            id=server,
            pid=1,
            boot="boot",
            jobs=2,
            started_at=self.now,
            heartbeat_at=self.now,
            owns=SERVERS[server],
        )
        self.store.servers.enter(record)
        self.up.append(server)

    def _is_adopted(self) -> None:
        heir = self.data.draw(st.sampled_from(self.up))
        before = {run.id: run.gpus for run in self.runs(State.RUNNING)}
        self.store.servers.adopt(heir, self.up, {*SERVERS} - {*self.up})
        assert {run.id: run.gpus for run in self.runs(State.RUNNING)} == before

    def _ends(self, run: Run, end: End, code: int | None) -> None:
        assert run.server is not None
        told = self.store.lifecycle.finish(
            Outcome(run=run, end=end, exit_code=code, at=self.now, why="so"), run.server
        )
        assert told == self.store.runs.get(run.id)

    def _claims(self, server: str) -> None:
        """By a look of this very moment."""
        view = GpuView(self.look(), self.last[server], is_news=True)
        usable = {index for index in range(self.cards) if index not in self.strangers | self.broken}
        taken = self._taken(server, view)
        assert not taken.needs_reading
        assert all(card.label in map(str, usable) for run in taken.runs for card in run.gpus)
        self.last[server] = taken.reading

    def _taken(self, server: str, view: GpuView) -> ClaimResult:
        taken = self.store.claims.claim(server, self.limits(server), self.now, view)
        for run in taken.runs:
            assert run == self.store.runs.get(run.id)
            self.giver[run.id, run.attempt] = server
            if len(run.gpus) > 1:
                event("a run is given several cards")
        return taken

    @invariant()
    def no_card_has_more_runs_than_slots_nor_are_they_promised_more_than_it_has(self) -> None:
        running = self.runs(State.RUNNING)
        slots, memory = Counter[str](), Counter[str]()
        for run in running:
            for card in run.gpus:
                slots[card.key] += 1
                memory[card.key] += run.task.gpu_memory or 0
        assert all(count <= self.sharing.slots for count in slots.values())
        assert all(promised <= TOTAL for promised in memory.values())

    @invariant()
    def every_run_has_the_cards_that_it_asked_for_while_it_runs(self) -> None:
        for run in self.runs(State.RUNNING):
            gpu_request = run.task.gpu_request
            indices = {int(card.label) for card in run.gpus}
            if gpu_request is None:
                assert not indices
                continue
            assert len(indices) == len(run.gpus) == gpu_request.count
            assert indices <= self._usable(gpu_request, run.queue, self.giver[run.id, run.attempt])
        for run in self.runs(State.QUEUED):
            assert not run.gpus

    @invariant()
    def the_leases_are_those_of_the_runs_that_run(self) -> None:
        held = {(run.id, card.key) for run in self.runs(State.RUNNING) for card in run.gpus}
        leases = [(lease.run, lease.key) for lease in self.store.gpus.leases()]
        assert len(leases) == len({*leases})
        assert {*leases} == held

    @invariant()
    def each_line_has_its_first_at_its_head(self) -> None:
        first: dict[tuple[str, str], int] = {}
        for run in sorted(self.runs(State.QUEUED), key=lambda run: (run.priority, run.turn, run.id)):
            text = msgspec.json.encode(run.task.gpu_request).decode() if run.task.gpu_request else ""
            first.setdefault((run.queue, text), run.id)
        heads = self.connection.execute("SELECT queue, gpu_request, run FROM heads")
        assert {(queue, gpu_request): run for queue, gpu_request, run in heads} == first


TestCards = Cards.TestCase
TestCards.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
