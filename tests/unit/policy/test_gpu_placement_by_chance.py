"""Random machines and requests: only free GPUs are given, and nobody waits for ever."""

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuProcess, GpuReading, GpuRequest
from aqueue.policy.gpu_leases import Lease
from aqueue.policy.gpu_placement import Allocator, Placed

pytestmark = pytest.mark.at_length

NOW = 1_800_000_000.0
GIB = 1 << 30
MINUTE = 60.0


class Machine(msgspec.Struct, frozen=True):
    """Cards with what is on them, and how they are given away."""

    cards: list[Gpu]
    leases: list[Lease]
    freed_at: dict[str, float]
    rules: Rules
    owns: list[list[GpuId]]

    def board(self, age: float = 0.0) -> Allocator:
        look = GpuReading(began_at=NOW - age, ended_at=NOW - age, gpus=tuple(self.cards))
        return Allocator(look, self.leases, self.freed_at, self.rules, self.owns, NOW)


def named(mask: int, cards: Sequence[Gpu]) -> list[GpuId]:
    """Those of the cards whose bit is set, some by their labels and some by their keys."""
    chosen = [card for card in cards if mask >> card.index & 1]
    return [card.key if mask >> card.index + 1 & 1 else label_or_index(card) for card in chosen]


def label_or_index(card: Gpu) -> GpuId:
    return card.index if card.instance is None else card.label


FOREIGN = [None, [None], [70], [], [], [], [], []]
"""The runs of the processes on a card that are not ours; None where processes cannot be seen."""

# Drawn as one, since what takes time in these tests is to draw.
KINDS = st.sampled_from(
    list(
        itertools.product(
            FOREIGN,
            [24, 24, 8, 80],
            [1, 1, 0.5, 0.2, None],
            [0, 0, 2],
            [None] * 7 + ["does not answer"],
            [0, 0, 1, 3],
        )
    )
)
ON_IT = st.sampled_from(
    list(itertools.product([None, 0, 2 * GIB], [None, 2 * GIB, 10 * GIB], [5.0, 3600.0], [None, 1, 4]))
)
QUESTIONS = st.sampled_from(
    list(itertools.product([1, 2, 3, 9], [None, None, 2 * GIB, 10 * GIB, 24 * GIB], [0, 0, 1], [0, 0, 1]))
)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Up to eight cards, of which one is an instance, with processes of ours and perhaps of others."""
    slots = draw(st.integers(1, 3))
    cards: list[Gpu] = []
    leases: list[Lease] = []
    freed_at: dict[str, float] = {}
    for index in range(draw(st.integers(1, 8))):
        foreign, gib, part, doubts, error, runs = draw(KINDS)
        key = f"{'MIG' if index == 1 else 'GPU'}-{index}x"
        on_it = []
        for run in range(90, 90 + min(runs, slots)):
            has, memory, age, freed_before = draw(ON_IT)
            on_it.append(GpuProcess(pid=2, run=run, memory=has))
            leases.append(Lease(run=run, key=key, label=str(index), memory=memory, started_at=NOW - age))
            if freed_before is not None:
                freed_at[key] = NOW - freed_before
        card = Gpu(
            key=key,
            index=index,
            instance=1 if index == 1 else None,
            total=gib * GIB,
            free=None if part is None else round(gib * part * GIB),
            processes=None if foreign is None else (*on_it, *(GpuProcess(pid=1, run=run) for run in foreign)),
            doubts=doubts,
            distances={f"GPU-{other}x": index ^ other for other in range(0, 8, 2)},
            error=error,
        )
        cards.append(card)
    rules = Rules(slots=slots, share_with_others=draw(st.sampled_from([False, False, True])))
    masks = draw(st.lists(st.integers(1, (1 << len(cards)) - 1), max_size=1))
    return Machine(cards, leases, freed_at, rules, [named(mask, cards) for mask in masks])


Asked = tuple[GpuRequest, list[GpuId] | None]


@st.composite
def questions(draw: st.DrawFn, machine: Machine) -> list[Asked]:
    """Return requests of runs, one after another, each with the cards that its queue may use."""
    cards, asked = machine.cards, []
    masks = st.integers(1, (1 << len(cards)) - 1)
    for count, memory, has_ids, is_confined in draw(st.lists(QUESTIONS, min_size=1, max_size=8)):
        ids = named(draw(masks), cards) if has_ids else []
        confined_to = named(draw(masks), cards) if is_confined else None
        asked.append((GpuRequest(len(ids) or min(count, len(cards) + 1), tuple(ids), memory), confined_to))
    return asked


class Scene(msgspec.Struct, frozen=True):
    machine: Machine
    asked: list[Asked]


SCENES = machines().flatmap(lambda machine: st.builds(Scene, st.just(machine), questions(machine)))


def may_have(machine: Machine, asked: Asked, card: Gpu, taken: Sequence[Lease]) -> bool:
    """Return True if a run may have a slot of the card beside these, computed in the plainest way."""
    gpu_request, confined_to = asked
    for ids in [*machine.owns, gpu_request.ids or None, confined_to]:
        if ids is not None and not any(id_ in (card.label, card.index, card.key) for id_ in ids):
            return False
    if card.error is not None or len(taken) >= machine.rules.slots:
        return False
    runs = [lease.run for lease in taken]
    if not machine.rules.share_with_others:
        if card.processes is None and card.doubts:
            return False
        if any(process.run not in runs for process in card.processes or ()):
            return False
    if gpu_request.memory is None:
        return True
    if card.free is None:
        return False
    free = card.free
    for lease in taken:
        has = sum(process.memory or 0 for process in card.processes or () if process.run == lease.run)
        if lease.memory is not None and NOW - lease.started_at <= MINUTE:
            free -= max(0, lease.memory - has)
    return free >= gpu_request.memory


@given(SCENES)
@settings(max_examples=100)
def test_what_is_given_may_be_given_and_what_may_be_given_is_given(scene: Scene) -> None:
    machine = scene.machine
    board = machine.board()
    for run, asked in enumerate(scene.asked, start=1):
        gpu_request, _ = asked
        before = {card.key: list(board.leases_on(card)) for card in machine.cards}
        free = [card for card in machine.cards if may_have(machine, asked, card, before[card.key])]
        found = board.place(run, *asked)
        after = {card.key: list(board.leases_on(card)) for card in machine.cards}
        changed = {key for key in after if after[key] != before[key]}
        if isinstance(found, Placed):
            event("a run is given several cards" if gpu_request.count > 1 else "a run is given a card")
            keys = [card.key for card in found.gpus]
            assert len({*keys}) == len(keys) == gpu_request.count
            assert {*keys} == changed
            assert all(card in free for card in found.gpus)
            assert all(
                any(id_ in (label_or_index(card), card.key) for card in found.gpus) for id_ in gpu_request.ids
            )
            new = [lease for key in keys for lease in after[key] if lease not in before[key]]
            assert [(lease.run, lease.memory, lease.is_reserved) for lease in new] == [
                (run, gpu_request.memory, False)
            ] * gpu_request.count
        else:
            event("a run is not given any")
            assert len(free) < gpu_request.count
            assert found.reason
            assert not found.needs_reading
            assert all(lease.is_reserved for key in changed for lease in after[key] if lease.run == run)
            if found.lack:
                assert not changed
        assert all(after[key][: len(before[key])] == before[key] for key in after)
        assert all(len(leases) <= machine.rules.slots for leases in after.values())


@given(SCENES, st.sampled_from([2.5, 1000.0, -2.5]))
def test_nothing_is_given_by_a_look_that_is_not_fresh(scene: Scene, age: float) -> None:
    board = scene.machine.board(age)
    for run, asked in enumerate(scene.asked, start=1):
        found = board.place(run, *asked)
        assert not isinstance(found, Placed)
        assert found.needs_reading != (found.is_vetoed or bool(found.obstacles))


@given(SCENES)
def test_no_card_is_given_that_was_not_looked_at_since_it_was_given_back(scene: Scene) -> None:
    machine = scene.machine
    board = machine.board(age=1.5)
    freed_since = {key for key, freed_at in machine.freed_at.items() if freed_at > NOW - 1.5}
    for run, asked in enumerate(scene.asked, start=1):
        found = board.place(run, *asked)
        assert not isinstance(found, Placed) or freed_since.isdisjoint(card.key for card in found.gpus)
    for card in machine.cards:
        assert len(board.leases_on(card)) <= machine.rules.slots


class Work:
    """One machine, on which nobody but ours computes, and all that runs has allocated what it asked for."""

    def __init__(
        self, data: st.DataObject, sizes: Sequence[int], slots: int, memories: Sequence[int | None] = (None,)
    ) -> None:
        self.data = data
        self.sizes = sizes
        self.rules = Rules(slots=slots)
        self.memories = memories
        self.running: dict[int, list[Lease]] = {}
        self.next_run = 100

    @property
    def leases(self) -> list[Lease]:
        return [lease for leases in self.running.values() for lease in leases]

    def board(self) -> Allocator:
        cards = []
        for index, size in enumerate(self.sizes):
            key = f"GPU-{index}x"
            on_it = [lease for lease in self.leases if lease.key == key]
            cards.append(
                Gpu(
                    key=key,
                    index=index,
                    total=size,
                    free=size - sum(lease.memory or 0 for lease in on_it),
                    processes=tuple(GpuProcess(pid=1, run=lease.run, memory=lease.memory) for lease in on_it),
                )
            )
        return Allocator(
            GpuReading(began_at=NOW, ended_at=NOW, gpus=tuple(cards)), self.leases, {}, self.rules, (), NOW
        )

    def start_others(self, board: Allocator, most: int) -> int:
        """As many others as there is room for, each of which needs one card."""
        for count in range(most):
            memory = self.data.draw(st.sampled_from(self.memories))
            found = board.place(self.next_run, GpuRequest(1, memory=memory))
            if not isinstance(found, Placed):
                return count
            self.running[self.next_run] = [
                lease for lease in board.leases_on(found.gpus[0]) if lease.run == self.next_run
            ]
            self.next_run += 1
        return most

    def end(self, run: int) -> None:
        del self.running[run]


def wait_of(work: Work, gpu_request: GpuRequest) -> None:
    """A run comes that needs this, with others behind it without end: it starts once all before it have ended."""
    taken = work.data.draw(st.integers(0, len(work.sizes) * work.rules.slots))
    work.start_others(work.board(), taken)
    before: list[int] = work.data.draw(st.permutations(sorted(work.running)))
    while True:
        board = work.board()
        if isinstance(found := board.place(1, gpu_request), Placed):
            assert len(found.gpus) == gpu_request.count
            return
        assert before, "all that ran when it came have ended, and still it does not start"
        work.start_others(board, 30)
        came_later = sorted(work.running.keys() - {*before})
        is_one_in_between = work.data.draw(st.booleans())
        if came_later and is_one_in_between:
            event("one that came later ends before it starts")
            work.end(work.data.draw(st.sampled_from(came_later)))
        work.end(before.pop())


@given(st.data(), st.integers(1, 8), st.integers(1, 3))
def test_a_run_that_needs_all_cards_is_not_starved_by_those_that_need_one(
    data: st.DataObject, cards: int, slots: int
) -> None:
    wait_of(Work(data, [24 * GIB] * cards, slots), GpuRequest(cards))


@given(st.data(), st.integers(2, 6), st.integers(1, 3))
def test_a_run_that_needs_these_very_cards_is_not_starved_by_those_that_take_any(
    data: st.DataObject, cards: int, slots: int
) -> None:
    ids = tuple(data.draw(st.lists(st.integers(0, cards - 1), min_size=1, unique=True)))
    wait_of(Work(data, [24 * GIB] * cards, slots), GpuRequest(len(ids), ids))


@given(st.data(), st.lists(st.sampled_from([24, 24, 8]), min_size=1, max_size=4), st.integers(1, 3))
def test_a_run_that_needs_much_memory_is_not_starved_by_those_that_need_little(
    data: st.DataObject, sizes: list[int], slots: int
) -> None:
    needed = data.draw(st.integers(1, max(sizes)))
    count = data.draw(st.integers(1, sum(size >= needed for size in sizes)))
    work = Work(data, [size * GIB for size in sizes], slots, [None, GIB, 5 * GIB, 10 * GIB])
    wait_of(work, GpuRequest(count, memory=needed * GIB))
