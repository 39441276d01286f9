"""The GPUs that a claim gives to runs, by queues, servers and limits."""

import sqlite3
import threading
from typing import Any

from aqueue.folder.layout import Folder
from aqueue.model.claim import NO_VIEW, GpuView
from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import Allocation
from aqueue.model.run import Trigger
from aqueue.model.schedule import DueTime
from aqueue.model.task import Priority, Task
from aqueue.policy.gpu_leases import Lease
from aqueue.policy.limits import Limits
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store
from tests.integration.recording import NOW
from tests.integration.store.gpu_machine import GIB, STRANGER, Machine, a_card, labels, queues

DUE = DueTime("due", NOW, direct=True)

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
    assert [run.gpus for run in machine.take(view=NO_VIEW).runs] == [(), ()]
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
    view = GpuView(machine.look())
    together = threading.Barrier(4)

    def claim_once(server: str) -> None:
        own = connect(folder)
        together.wait()
        with transaction(own, folder):
            Store(own).claims.claim(server, Limits(jobs=2), NOW, view)
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
    taken = machine.take(view=early, queues=lane)
    assert ({run.id: labels(run) for run in taken.runs}, taken.needs_reading) == ({confined.id: ["1"]}, True)
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
    ids = [machine.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, due=DUE) for _ in range(3)]
    machine.add("waits", gpus=1)
    assert machine.store.gpus.gpu_requests(direct=True) == ['{"count":1}']
    off: dict[str, Any] = {"disabled_by": "so", "jobs": 1}
    assert not machine.take(view=NO_VIEW, **off).runs
    assert machine.take(view=NO_VIEW, **off).needs_reading
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
        ids.append(machine.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, due=DUE))
    assert machine.given(disabled_by="so") == {ids[1]: [], ids[2]: ["1"]}
