"""What the store gives to runs that ask for cards, to whom, and what is known of that afterwards."""

import itertools
import sqlite3
import threading
from typing import Any

import msgspec
import pytest

from aqueue.folder.layout import Folder
from aqueue.model.claim import NO_VIEW, ClaimResult, GpuView
from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import Allocation, Gpu, GpuProcess, GpuReading, GpuRequest, text_of
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State, Trigger
from aqueue.model.task import Priority, Retries, Task
from aqueue.policy.gpu_placement import Blocked, Lease, Reservation
from aqueue.policy.limits import Limits
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store
from tests.integration.recording import NOW, Book
from tests.integration.store.test_plans import plans

GIB = 1 << 30
STRANGER = (GpuProcess(pid=77, user="ann", name="python"),)
LINKED = Queue(name="lane", max_concurrency=1000)


class Machine(Book):
    """A store, and a machine with cards, at which somebody looks whenever a server claims."""

    def __init__(self, connection: sqlite3.Connection, cards: int = 2) -> None:
        super().__init__(connection)
        self.cards = [a_card(index) for index in range(cards)]
        self.now = NOW

    def change(self, index: int, **changes: Any) -> None:
        self.cards[index] = msgspec.structs.replace(self.cards[index], **changes)

    def look(self) -> GpuReading:
        return GpuReading(began_at=self.now, ended_at=self.now, gpus=tuple(self.cards))

    def take(self, server: str = "me", sight: GpuView | None = None, **limits: Any) -> ClaimResult:
        """Claim a second later than the last time, by a fresh look if no other is given."""
        self.now += 1
        known = Limits(**{"jobs": 1000} | limits)
        return self.store.claims.claim(server, known, self.now, GpuView(self.look()) if sight is None else sight)

    def given(self, server: str = "me", **limits: Any) -> dict[int, list[str]]:
        """What each run that starts now is given."""
        return {run.id: labels(run) for run in self.take(server, **limits).runs}

    def end(self, run: Run | int, end: End = End.EXITED, code: int | None = 0, server: str = "me") -> Run:
        """Its attempt ends a second later."""
        self.now += 1
        outcome = Outcome(run=self.get(run), end=end, exit_code=code, at=self.now)
        assert self.store.lifecycle.finish(outcome, server) is not None
        return self.get(run)


def a_card(index: int, **changes: Any) -> Gpu:
    plain: dict[str, Any] = {"total": 24 * GIB, "free": 24 * GIB, "processes": ()}
    return Gpu(key=f"GPU-{index}{index}{index}{index}", index=index, **plain | changes)


def labels(run: Run) -> list[str]:
    return [card.label for card in run.gpus]


def queues(*configured: Queue) -> dict[str, Queue]:
    return {queue.name: queue for queue in configured}


@pytest.fixture
def machine(connection: sqlite3.Connection) -> Machine:
    return Machine(connection)


# What is given


def test_a_run_has_its_cards_in_the_store_while_it_runs(machine: Machine) -> None:
    run = machine.add(gpus=2, gpu_memory=GIB)
    (taken,) = machine.take().runs
    assert taken.gpus == (Allocation("GPU-0000", "0"), Allocation("GPU-1111", "1"))
    assert machine.get(run) == taken
    assert machine.store.gpus.leases() == [
        Lease(run=run.id, key=f"GPU-{index * 4}", label=index, memory=GIB, started_at=machine.now)
        for index in ("0", "1")
    ]
    (attempt,) = machine.store.runs.attempts(taken)
    assert attempt.gpus == taken.gpus


def test_a_run_that_asks_for_no_card_has_none(machine: Machine) -> None:
    for name, gpus in (("a", None), ("b", 0)):
        machine.add(name, gpus=gpus)
    assert [run.gpus for run in machine.take(sight=NO_VIEW).runs] == [(), ()]
    assert machine.store.gpus.leases() == []


def test_an_instance_is_remembered_as_one(machine: Machine) -> None:
    machine.cards = [a_card(0, instance=1)]
    machine.add(gpus=("0:1",))
    (taken,) = machine.take().runs
    assert machine.get(taken).gpus == (Allocation("GPU-0000", "0:1", is_instance=True),)


def test_each_card_has_one_run_over_all_servers_or_as_many_as_there_are_slots(machine: Machine) -> None:
    ids = [machine.add(name, gpus=1).id for name in "abcde"]
    assert machine.given("me", jobs=1) == {ids[0]: ["0"]}
    assert machine.given("you", jobs=1) == {ids[1]: ["1"]}
    assert machine.given("me") == machine.given("you") == {}
    assert machine.given("you", rules=Rules(slots=2)) == {ids[2]: ["0"], ids[3]: ["1"]}
    assert sorted(lease.run for lease in machine.store.gpus.leases()) == ids[:4]


def test_high_goes_before_low_and_then_first_in_first_out_whatever_they_ask_for(machine: Machine) -> None:
    ids = [
        machine.add(f"t{number}", gpus=gpus, priority=priority).id
        for number, (gpus, priority) in enumerate(
            [(1, Priority.LOW), ((0,), Priority.LOW), (1, Priority.HIGH), (2, Priority.LOW)]
        )
    ]
    assert machine.given() == {ids[2]: ["0"], ids[0]: ["1"]}
    machine.end(ids[2])
    assert machine.given() == {ids[1]: ["0"]}


def test_servers_that_decide_at_the_same_moment_never_give_one_slot_twice(folder: Folder) -> None:
    connection = connect(folder)
    machine = Machine(connection, cards=3)
    for number in range(8):
        machine.add(f"t{number}", gpus=1)
    sight = GpuView(machine.look())
    together = threading.Barrier(4)

    def claim_once(server: str) -> None:
        own = connect(folder)
        together.wait()
        with transaction(own, folder):
            Store(own).claims.claim(server, Limits(jobs=2), NOW, sight)
        own.close()

    threads = [threading.Thread(target=claim_once, args=(f"server-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((lease.run, lease.label) for lease in machine.store.gpus.leases()) == [
        (1, "0"),
        (2, "1"),
        (3, "2"),
    ]
    connection.close()


# And given back


def test_cards_are_given_back_when_the_run_is_over_and_it_is_known_which_it_had(machine: Machine) -> None:
    run = machine.add(gpus=1)
    (taken,) = machine.take().runs
    over = machine.end(run, code=3)
    assert (over.state, over.gpus) == (State.FAILED, taken.gpus)
    assert [attempt.gpus for attempt in machine.store.runs.attempts(over)] == [taken.gpus]
    assert machine.store.gpus.leases() == []
    assert machine.store.gpus.freed_at() == {"GPU-0000": machine.now}


def test_a_run_that_goes_back_to_the_queue_has_no_cards_any_more_but_its_attempts_had(machine: Machine) -> None:
    run = machine.add(gpus=1, retries=Retries(limit=1))
    machine.take()
    first = machine.get(run).gpus
    waiting = machine.end(run, code=3)
    assert (waiting.state, waiting.gpus) == (State.QUEUED, ())
    machine.take()
    second = machine.get(run).gpus
    assert [labels(machine.get(run)), first] == [["1"], (Allocation("GPU-0000", "0"),)]
    over = machine.end(run)
    assert [attempt.gpus for attempt in machine.store.runs.attempts(over)] == [first, second]
    assert over.gpus == second


def test_what_is_told_of_a_run_that_ended_is_what_is_remembered(machine: Machine) -> None:
    run = machine.add(gpus=1, retries=Retries(limit=1))
    for code in (3, 0):
        (taken,) = machine.take().runs
        assert machine.finish(taken, code=code, server="me") == machine.get(run)


@pytest.mark.parametrize("end", [End.LOST, End.NEVER_STARTED, End.TIMED_OUT, End.STOPPED, End.FAILED_TO_START])
def test_cards_are_given_back_however_an_attempt_ends(machine: Machine, end: End) -> None:
    run = machine.add(gpus=2)
    machine.take()
    ended = machine.end(run, end, code=None)
    assert machine.store.gpus.leases() == []
    assert len(ended.gpus) == (0 if ended.state is State.QUEUED else 2)
    assert [len(attempt.gpus) for attempt in machine.store.runs.attempts(ended)] == [2] * (
        end is not End.NEVER_STARTED
    )


def test_a_run_that_is_retried_by_hand_has_no_cards_while_it_waits(machine: Machine) -> None:
    run = machine.add(gpus=1)
    machine.take()
    machine.store.lifecycle.retry([machine.end(run)])
    assert machine.get(run).gpus == ()
    assert machine.store.gpus.leases() == []
    assert machine.given() == {run.id: ["1"]}


def test_a_run_that_was_cancelled_keeps_its_cards_until_it_is_over(machine: Machine) -> None:
    run = machine.add(gpus=2)
    machine.take()
    machine.store.lifecycle.cancel(machine.get(run), "cancelled", machine.now)
    machine.add("other", gpus=1)
    assert machine.given() == {}
    machine.end(run, End.STOPPED, code=143)
    assert machine.given() == {2: ["0"]}


def test_who_speaks_up_too_late_gives_nothing_back(machine: Machine) -> None:
    run = machine.add(gpus=1)
    (taken,) = machine.take("gone").runs
    machine.store.servers.adopt("me", {"me"}, ())
    assert machine.finish(taken, server="gone") is None
    assert [lease.run for lease in machine.store.gpus.leases()] == [run.id]
    assert machine.store.gpus.freed_at() == {}


def test_a_run_keeps_its_cards_when_another_server_adopts_it(machine: Machine) -> None:
    run = machine.add(gpus=1)
    machine.take("gone", owns=((1,),))
    ((adopted, _),) = machine.store.servers.adopt("me", {"me"}, ())
    assert labels(adopted) == labels(machine.get(run)) == ["1"]
    machine.add("other", gpus=(1,))
    assert machine.given() == {}
    assert labels(machine.end(run)) == ["1"]
    assert machine.given() == {2: ["1"]}


def test_a_forgotten_run_leaves_nothing_behind(machine: Machine) -> None:
    run = machine.add(gpus=1)
    machine.take()
    machine.end(run)
    machine.store.runs.forget([run.id])
    assert machine.store.gpus.leases() == []
    assert machine.given() == {}


def test_the_card_that_was_given_back_longest_ago_is_given_next(machine: Machine) -> None:
    first, second = (machine.add(name, gpus=1) for name in "ab")
    machine.take()
    machine.end(second)
    machine.end(first)
    third = machine.add("c", gpus=1)
    assert machine.given() == {third.id: ["1"]}


# Looks


def test_without_a_look_no_card_is_given_and_one_is_asked_for(machine: Machine) -> None:
    machine.add("cards", gpus=1)
    other = machine.add("other")
    taken = machine.take(sight=NO_VIEW)
    assert [run.id for run in taken.runs] == [other.id]
    assert (taken.needs_look, taken.is_vetoed) == (True, False)
    assert taken.look is None


def test_by_a_stale_look_no_card_is_given_and_another_is_asked_for(machine: Machine) -> None:
    run = machine.add(gpus=1)
    stale = GpuView(machine.look())
    machine.now += 60
    taken = machine.take(sight=stale)
    assert (taken.runs, taken.needs_look, taken.is_vetoed) == ([], True, False)
    assert machine.given() == {run.id: ["0"]}


def test_by_a_look_from_before_a_card_was_given_back_it_is_not_given(machine: Machine) -> None:
    first = machine.add("a", gpus=2)
    machine.take()
    early = GpuView(machine.look())
    machine.end(first)
    second = machine.add("b", gpus=1)
    taken = machine.take(sight=early)
    assert (taken.runs, taken.needs_look, taken.is_vetoed) == ([], True, False)
    assert machine.given() == {second.id: ["0"]}


def test_no_look_is_asked_for_when_no_run_asks_for_cards_or_all_have_them(machine: Machine) -> None:
    assert machine.take(sight=NO_VIEW) == ClaimResult([])
    machine.add("plain")
    assert not machine.take(sight=NO_VIEW).needs_look
    machine.add("cards", gpus=2)
    taken = machine.take()
    assert (len(taken.runs), taken.needs_look, taken.is_vetoed) == (1, False, False)


def test_a_run_that_waits_only_for_runs_of_ours_asks_for_no_look(machine: Machine) -> None:
    machine.add("a", gpus=2)
    machine.take()
    machine.add("b", gpus=1)
    for sight in (None, GpuView(GpuReading(began_at=NOW - 600, ended_at=NOW - 600, gpus=tuple(machine.cards)))):
        taken = machine.take(sight=sight)
        assert (taken.runs, taken.needs_look, taken.is_vetoed) == ([], False, False)


def test_a_run_that_somebody_else_keeps_from_its_card_waits_for_looks(machine: Machine) -> None:
    machine.change(0, processes=STRANGER)
    run = machine.add(gpus=(0,))
    taken = machine.take()
    assert (taken.runs, taken.needs_look, taken.is_vetoed) == ([], False, True)
    machine.change(0, processes=())
    assert machine.given() == {run.id: ["0"]}


def test_a_run_that_wants_more_than_there_is_waits_and_keeps_nobody_back(machine: Machine) -> None:
    large = machine.add("large", gpus=8)
    fat = machine.add("fat", gpu_memory=80 * GIB, gpus=1)
    fits = machine.add("fits", gpus=2)
    taken = machine.take()
    assert [run.id for run in taken.runs] == [fits.id]
    assert (taken.needs_look, taken.is_vetoed) == (False, True)
    assert taken.lacking == (
        (large.id, "asks for 8 GPUs, and there are 2"),
        (fat.id, "asks for 1 GPU with 80 GiB, and none is so large: the largest has 24 GiB"),
    )


def test_a_new_look_is_remembered_for_those_who_ask(machine: Machine) -> None:
    machine.enter("me")
    machine.enter("you")
    look = machine.look()
    assert machine.store.gpus.reading() is None
    assert machine.take("me", GpuView(look, None, is_news=True)).look == look
    assert machine.store.gpus.reading() == machine.store.gpus.reading(["me"]) == look
    assert machine.store.gpus.reading(["you"]) is None
    later = machine.look()
    assert machine.take("me", GpuView(later)).look == later
    assert machine.store.gpus.reading() == look, "it is no news"
    machine.take("you", GpuView(later, None, is_news=True))
    assert machine.store.gpus.reading() == later


class Container(Machine):
    """A machine in which processes cannot be seen; every look is news."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, cards=1)
        self.enter("me")
        self.last: GpuReading | None = None
        self.change(0, processes=None)

    def news(self, **limits: Any) -> ClaimResult:
        taken = self.take(sight=GpuView(self.look(), self.last, is_news=True), **limits)
        self.last = taken.look
        return taken


@pytest.fixture
def container(connection: sqlite3.Connection) -> Container:
    return Container(connection)


def test_where_processes_cannot_be_seen_memory_in_use_in_two_looks_in_a_row_is_somebody_elses(
    container: Container,
) -> None:
    container.change(0, free=14 * GIB)
    container.news()
    container.add(gpus=1)
    taken = container.news()
    assert (taken.runs, taken.is_vetoed) == ([], True)
    assert taken.look is not None
    assert taken.look.gpus[0].doubts == 2
    assert container.store.gpus.reading() == taken.look
    assert container.take(sight=GpuView(taken.look)).runs == []
    container.change(0, free=24 * GIB)
    assert [labels(run) for run in container.news().runs] == [["0"]]


@pytest.mark.parametrize("memory", [None, 8 * GIB])
def test_where_processes_cannot_be_seen_a_run_that_waits_accounts_for_nothing(
    container: Container, memory: int | None
) -> None:
    container.change(0, free=16 * GIB)
    container.news()
    container.add(gpus=1, gpu_memory=memory)
    for _ in range(3):
        taken = container.news()
        assert taken.runs == []
    assert taken.look is not None
    assert taken.look.gpus[0].doubts == 4


def test_where_processes_cannot_be_seen_our_own_runs_account_for_what_they_asked_for(container: Container) -> None:
    container.add("a", gpus=1, gpu_memory=10 * GIB)
    slots = Rules(slots=2)
    container.news(rules=slots)
    container.change(0, free=14 * GIB)
    for _ in range(3):
        container.news(rules=slots)
    second = container.add("b", gpus=1, gpu_memory=2 * GIB)
    container.now += 60
    assert [run.id for run in container.news(rules=slots).runs] == [second.id]


def test_where_processes_cannot_be_seen_what_the_run_before_had_is_not_somebody_elses(
    container: Container,
) -> None:
    run = container.add("a", gpus=1, gpu_memory=10 * GIB)
    container.news()
    container.change(0, free=14 * GIB)
    container.news()
    container.end(run)
    container.change(0, free=24 * GIB)
    second = container.add("b", gpus=1)
    assert [taken.id for taken in container.news().runs] == [second.id]


# Who passes whom


def test_runs_without_cards_pass_those_that_wait_for_some_in_their_own_queue_too(machine: Machine) -> None:
    machine.add("a", queue="lane", gpus=2)
    machine.take(queues=queues(LINKED))
    waits = machine.add("b", queue="lane", gpus=1)
    passes = [machine.add(name, queue="lane", gpus=gpus).id for name, gpus in (("c", None), ("d", 0))]
    passes.append(machine.add("e").id)
    taken = machine.take(queues=queues(LINKED))
    assert [run.id for run in taken.runs] == passes
    assert machine.get(waits).state is State.QUEUED


def test_a_card_that_fails_is_no_matter_for_runs_without_cards_and_on_other_cards(machine: Machine) -> None:
    machine.change(0, error="has fallen off the bus")
    machine.add("a", gpus=(0,))
    one, plain = machine.add("b", gpus=1), machine.add("c")
    assert machine.given() == {one.id: ["1"], plain.id: []}


def test_a_driver_that_is_not_there_is_no_matter_for_runs_without_cards(machine: Machine) -> None:
    machine.add("a", gpus=1)
    plain = machine.add("b")
    taken = machine.take(
        sight=GpuView(GpuReading(began_at=NOW, ended_at=NOW, problem="the NVIDIA driver is not there"))
    )
    assert [run.id for run in taken.runs] == [plain.id]
    assert (taken.needs_look, taken.is_vetoed) == (False, True)


def test_cards_are_set_aside_as_they_fall_free_for_a_run_that_needs_several(
    connection: sqlite3.Connection,
) -> None:
    machine = Machine(connection, cards=4)
    small = [machine.add(f"s{number}", gpus=1) for number in range(4)]
    machine.take()
    large = machine.add("large", gpus=4)
    for number in range(10):
        machine.add(f"t{number}", gpus=1)
    plain = machine.add("plain")
    assert machine.given() == {plain.id: []}
    for run in small[:3]:
        machine.end(run)
        assert machine.given() == {}
    machine.end(small[3])
    assert list(machine.given()) == [large.id]


def test_what_two_servers_have_set_aside_for_one_run_is_in_the_order_of_turns(
    machine: Machine, connection: sqlite3.Connection
) -> None:
    first, second = machine.add(gpus=1), machine.add(gpus=1)
    kept = [Reservation(Priority.LOW, run.id, "GPU-0000", "0", None) for run in (second, first)]
    for server in ("left", "right"):
        connection.execute(
            "INSERT INTO servers (id, pid, boot, jobs, started_at, heartbeat_at, reservations)"
            " VALUES (?, 1, '', 1, ?, ?, ?)",
            (server, NOW, NOW, msgspec.json.encode(kept).decode()),
        )
    found = machine.store.gpus.reservations_of_others("me", NOW)
    assert [slot.run for slot in found] == [first.id, first.id, second.id, second.id]


def test_a_run_of_high_priority_goes_before_one_for_which_cards_are_set_aside(machine: Machine) -> None:
    first = machine.add("a", gpus=1)
    machine.take()
    machine.add("large", gpus=2)
    urgent = machine.add("urgent", gpus=1, priority=Priority.HIGH)
    assert machine.given() == {urgent.id: ["1"]}
    machine.end(first)
    assert machine.given() == {}


def test_nothing_is_set_aside_for_a_run_whose_queue_is_full(machine: Machine) -> None:
    lane = queues(Queue(name="lane"))
    machine.add("a", queue="lane", gpus=1)
    machine.take(queues=lane)
    machine.add("b", queue="lane", gpus=2)
    other = machine.add("c", gpus=1)
    assert machine.given(queues=lane) == {other.id: ["1"]}


def test_runs_that_wait_say_why_in_the_order_of_their_turns(machine: Machine) -> None:
    machine.change(1, processes=STRANGER)
    machine.add("a", gpus=1)
    machine.take()
    runs = [machine.add(name, gpus=gpus) for name, gpus in (("b", 2), ("c", (0,)), ("d", (1,)))]
    machine.add("e")
    limits = Limits(jobs=1000)
    board = machine.store.gpus.allocator(machine.look(), limits, machine.now)
    turns = list(machine.store.claims.preview("me", limits, board, machine.now))
    assert [turn.run for turn in turns] == [run.id for run in runs]
    assert [turn.asked for turn in turns] == [GpuRequest(2), GpuRequest(1, (0,)), GpuRequest(1, (1,))]
    reasons = [turn.found.reason for turn in turns if isinstance(turn.found, Blocked)]
    assert reasons == [
        "waits for GPUs: python (pid 77, ann) is on GPU 1; GPU 0 has run 1 on it",
        "waits for GPUs: GPU 0 has run 1 on it",
        "waits for GPUs: python (pid 77, ann) is on GPU 1",
    ]
    assert all(machine.get(run).state is State.QUEUED for run in runs)


# Affinity


def test_a_queue_is_confined_to_its_cards_and_others_are_not(connection: sqlite3.Connection) -> None:
    machine = Machine(connection, cards=3)
    lane = queues(Queue(name="lane", max_concurrency=9, gpus=(2, 1)))
    ids = [machine.add(f"t{number}", queue="lane", gpus=1).id for number in range(3)]
    other = machine.add("other", gpus=1)
    assert machine.given(queues=lane) == {ids[0]: ["1"], ids[1]: ["2"], other.id: ["0"]}


def test_a_run_of_a_confined_queue_that_waits_keeps_nobody_back_that_asks_for_the_same(machine: Machine) -> None:
    lane = queues(Queue(name="lane", max_concurrency=9, gpus=(0,)), Queue(name="else", gpus=(1,)))
    machine.change(0, processes=STRANGER)
    machine.add("a", queue="lane", gpus=1)
    others = [machine.add(name, queue=queue, gpus=1).id for name, queue in (("b", "else"), ("c", None))]
    taken = machine.take(queues=lane)
    assert {run.id: labels(run) for run in taken.runs} == {others[0]: ["1"]}
    assert taken.is_vetoed
    machine.end(others[0])
    assert machine.given(queues=lane) == {others[1]: ["1"]}


def test_a_run_that_waits_keeps_nobody_back_in_a_confined_queue_that_asks_for_the_same(machine: Machine) -> None:
    lane = queues(Queue(name="lane", max_concurrency=9, gpus=(1,)))
    machine.add("first", gpus=(0,))
    machine.take()
    machine.change(0, free=8 * GIB)
    early = GpuView(machine.look())
    machine.end(1)
    waits = machine.add("a", gpus=1, gpu_memory=GIB)
    confined = machine.add("b", queue="lane", gpus=1, gpu_memory=GIB)
    machine.now -= 1
    taken = machine.take(sight=early, queues=lane)
    assert ({run.id: labels(run) for run in taken.runs}, taken.needs_look) == ({confined.id: ["1"]}, True)
    assert machine.given(queues=lane) == {waits.id: ["0"]}


def test_a_run_waits_for_a_server_that_has_its_card(machine: Machine) -> None:
    run = machine.add(gpus=(1,))
    taken = machine.take("me", owns=((0,),))
    assert (taken.runs, taken.is_vetoed) == ([], True)
    assert machine.given("you", owns=((1,),)) == {run.id: ["1"]}


def test_servers_with_different_cards_each_give_their_own(connection: sqlite3.Connection) -> None:
    machine = Machine(connection, cards=4)
    ids = [machine.add(f"t{number}", gpus=1).id for number in range(4)]
    assert machine.given("me", owns=((0, 1), (1, 2))) == {ids[0]: ["1"]}
    assert machine.given("you", owns=((2, 3),)) == {ids[1]: ["2"], ids[2]: ["3"]}
    assert machine.given("none", owns=((),)) == {}
    assert machine.given("all") == {ids[3]: ["0"]}


def test_what_a_server_owns_is_remembered(machine: Machine) -> None:
    for owns in ((), ((),), ((0, "GPU-77"), (0, "1:2"))):
        machine.enter(str(owns), owns=owns)
        assert machine.server(str(owns)).owns == owns


# Queues that are disabled


def test_a_direct_run_gets_its_cards_where_queues_are_disabled(machine: Machine) -> None:
    task = Task(name="due", command="true", working_dir="/", gpus=1)
    ids = [machine.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, direct=True) for _ in range(3)]
    machine.add("waits", gpus=1)
    assert machine.store.gpus.demands(direct=True) == ['{"count":1}']
    off: dict[str, Any] = {"disabled_by": "so", "jobs": 1}
    assert not machine.take(sight=NO_VIEW, **off).runs
    assert machine.take(sight=NO_VIEW, **off).needs_look
    assert machine.given(**off) == {ids[0]: ["0"], ids[1]: ["1"]}
    assert machine.given(**off) == {}
    machine.end(1)
    assert machine.given(**off) == {ids[2]: ["0"]}


def test_a_direct_run_that_waits_for_cards_keeps_no_other_back(machine: Machine) -> None:
    machine.change(0, processes=STRANGER)
    names = (("a", (0,)), ("b", None), ("c", 1), ("d", 9))
    ids = []
    for name, gpus in names:
        task = Task(name=name, command="true", working_dir="/", gpus=gpus)
        ids.append(machine.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, direct=True))
    assert machine.given(disabled_by="so") == {ids[1]: [], ids[2]: ["1"]}


# What there is to be asked


def test_each_demand_of_those_in_line_is_known_once(machine: Machine) -> None:
    assert machine.store.gpus.demands() == []
    for number, gpus in enumerate([1, (2, "GPU-77"), None, 1, 0]):
        machine.add(f"t{number}", gpus=gpus)
    machine.add("x", gpus=1, gpu_memory=5)
    machine.add("held", gpus=7, hold=True)
    expected = ["", '{"count":1}', '{"count":1,"memory":5}', '{"count":2,"ids":[2,"GPU-77"]}']
    assert machine.store.gpus.demands() == sorted(expected)
    assert machine.store.gpus.demands(direct=True) == []
    machine.take()
    assert machine.store.gpus.demands() == expected[2:]


def heads(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    return {
        (queue, demand): run for queue, demand, run in connection.execute("SELECT queue, demand, run FROM heads")
    }


def test_the_same_that_is_asked_for_in_one_queue_is_one_line(
    machine: Machine, connection: sqlite3.Connection
) -> None:
    for name, gpus in (("a", None), ("b", 1), ("c", 1), ("d", 2), ("e", None)):
        machine.add(name, queue="lane", gpus=gpus)
    assert heads(connection) == {("lane", ""): 1, ("lane", '{"count":1}'): 2, ("lane", '{"count":2}'): 4}
    machine.store.lifecycle.cancel(machine.get(2), "cancelled", NOW)
    machine.store.lifecycle.hold(machine.get(1))
    assert heads(connection) == {("lane", ""): 5, ("lane", '{"count":1}'): 3, ("lane", '{"count":2}'): 4}
    machine.store.lifecycle.release(machine.get(1))
    machine.take(queues=queues(LINKED))
    assert heads(connection) == {("lane", '{"count":2}'): 4}


def test_runs_that_wait_for_cards_are_known_with_what_they_ask_for(machine: Machine) -> None:
    for name, gpus in (("a", 1), ("b", None), ("c", (0, 1)), ("d", 0)):
        machine.add(name, gpus=gpus)
    machine.add("e", queue="lane", gpus=1, hold=True)
    assert machine.store.gpus.waiting() == [(1, "a", GpuRequest(1)), (3, "c", GpuRequest(2, (0, 1)))]


def test_those_count_as_ahead_of_a_run_that_ask_for_the_same(machine: Machine) -> None:
    runs = [
        machine.add(name, queue="lane", gpus=gpus) for name, gpus in (("a", 1), ("b", 2), ("c", 1), ("d", None))
    ]
    assert [line.ahead for line in machine.store.queues.lines(runs, [], {"lane"})] == [0, 0, 1, 0]


def test_runs_with_cards_count_for_their_queues_and_jobs_as_all_others_do(machine: Machine) -> None:
    lane = queues(Queue(name="lane", max_concurrency=1))
    for name, queue in (("a", "lane"), ("b", None), ("c", "lane")):
        machine.add(name, queue=queue, gpus=1)
    assert machine.given(queues=lane, jobs=1, rules=Rules(slots=3)) == {1: ["0"], 2: ["1"]}
    usage = machine.store.queues.usage("me", Limits(queues=lane))
    assert (usage.queues, usage.jobs) == ({"lane": 1, "b": 1}, 1)
    assert machine.store.queues.usage("you", Limits(queues=lane)).jobs == 0
    machine.add("d", gpus=1)
    assert machine.given(queues=lane, jobs=1, rules=Rules(slots=3)) == {}


# Many


def fill(connection: sqlite3.Connection, runs: int, queue: str | None) -> None:
    """Put so many runs in line, each in a queue of its own or all in one; every third asks for too much."""
    rows = []
    for number in range(runs):
        task = Task(name=f"t{number}", command="true", working_dir="/", gpus=(1, 2, 9)[number % 3])
        text = msgspec.json.encode(task).decode()
        rows.append((task.name, queue or task.name, text, text_of(task.demand)))
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO runs (name, run_id, queue, priority, state, trigger, task, created_at, demand)"
        " VALUES (?, 'id', ?, 1, 'queued', 'manual', ?, 1.0, ?)",
        rows,
    )
    connection.execute("COMMIT")


@pytest.mark.parametrize("queue", [None, "lane"])
def test_a_claim_costs_the_same_however_many_wait_for_cards(folder: Folder, queue: str | None) -> None:
    def steps(runs: int) -> int:
        """For a claim that gives cards away, one that finds none free, and one after some were given back."""
        many = Folder(folder.parent / f"queue-{runs}")
        many.create()
        connection = connect(many)
        machine = Machine(connection, cards=8)
        fill(connection, runs, queue)
        statements: list[str] = []
        counter = itertools.count()
        connection.set_trace_callback(statements.append)
        connection.set_progress_handler(lambda: next(counter) and 0, 1)
        started = [machine.given(queues=queues(LINKED)) for _ in range(2)]
        machine.end(2)
        started.append(machine.given(queues=queues(LINKED)))
        connection.set_progress_handler(None, 0)
        connection.set_trace_callback(None)
        assert [list(runs) for runs in started] == [[1, 2, 4, 5, 7], [], [8, 10]]
        found = plans(connection, statements)
        connection.close()
        assert [plan for plan in found if plan[1] in ("SCAN runs", "SCAN heads")] == []
        assert any("heads_in_order" in step for _, step in found)
        assert not any("TEMP B-TREE" in step for statement, step in found if " FROM heads " in statement)
        return next(counter)

    assert steps(10_000) < 1.5 * steps(100)


def test_a_claim_of_direct_runs_goes_through_no_others(folder: Folder, connection: sqlite3.Connection) -> None:
    machine = Machine(connection, cards=8)
    fill(connection, 300, None)
    task = Task(name="due", command="true", working_dir="/", gpus=1)
    machine.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, direct=True)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert machine.given(disabled_by="so") == {301: ["0"]}
    connection.set_trace_callback(None)
    found = plans(connection, statements)
    assert [plan for plan in found if plan[1] in ("SCAN runs", "SCAN heads")] == []
    assert any("runs_direct" in step for _, step in found)
