"""Runs that pass others or wait for their turn, and what that costs with many in line."""

import itertools
import sqlite3

import msgspec
import pytest

from aqueue.folder.layout import Folder
from aqueue.model.claim import GpuView
from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import GpuReading, GpuRequest, text_of
from aqueue.model.run import State, Trigger
from aqueue.model.schedule import DueTime
from aqueue.model.task import Priority, Task
from aqueue.policy.gpu_leases import Reservation
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.limits import Limits
from aqueue.store.database import connect
from tests.integration.recording import NOW
from tests.integration.store.gpu_machine import LINKED, STRANGER, Machine, queues
from tests.integration.store.test_plans import plans

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
        view=GpuView(GpuReading(began_at=NOW, ended_at=NOW, problem="the NVIDIA driver is not there"))
    )
    assert [run.id for run in taken.runs] == [plain.id]
    assert (taken.needs_reading, taken.is_vetoed) == (False, True)


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
    kept = [Reservation(Priority.LOW, run.turn, run.id, "GPU-0000", "0", None) for run in (second, first)]
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
        "waits for GPUs: GPU 1 is used by python (pid 77, ann); GPU 0 is used by run 1",
        "waits for GPUs: GPU 0 is used by run 1",
        "waits for GPUs: GPU 1 is used by python (pid 77, ann)",
    ]
    assert all(machine.get(run).state is State.QUEUED for run in runs)


# What there is to be asked


def test_each_gpu_request_of_those_in_line_is_known_once(machine: Machine) -> None:
    assert machine.store.gpus.gpu_requests() == []
    for number, gpus in enumerate([1, (2, "GPU-77"), None, 1, 0]):
        machine.add(f"t{number}", gpus=gpus)
    machine.add("x", gpus=1, gpu_memory=5)
    machine.add("held", gpus=7, hold=True)
    expected = ["", '{"count":1}', '{"count":1,"memory":5}', '{"count":2,"ids":[2,"GPU-77"]}']
    assert machine.store.gpus.gpu_requests() == sorted(expected)
    assert machine.store.gpus.gpu_requests(direct=True) == []
    machine.take()
    assert machine.store.gpus.gpu_requests() == expected[2:]


def heads(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    return {
        (queue, gpu_request): run
        for queue, gpu_request, run in connection.execute("SELECT queue, gpu_request, run FROM heads")
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
        rows.append((task.name, queue or task.name, text, text_of(task.gpu_request)))
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO runs (name, run_id, queue, priority, state, trigger, task, created_at, gpu_request)"
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
    machine.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, due=DueTime("due", NOW, direct=True))
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert machine.given(disabled_by="so") == {301: ["0"]}
    connection.set_trace_callback(None)
    found = plans(connection, statements)
    assert [plan for plan in found if plan[1] in ("SCAN runs", "SCAN heads")] == []
    assert any("runs_direct" in step for _, step in found)
