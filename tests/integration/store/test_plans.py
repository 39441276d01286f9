"""However many runs there are, what a server does again and again goes through none but those it is about."""

import re
import sqlite3
from collections.abc import Sequence
from functools import partial
from itertools import count

import pytest

from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.config import Queue
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State, Trigger
from aqueue.model.schedule import DueTime, Overlap
from aqueue.model.server import Leaving, Server
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.store.database import transaction
from aqueue.store.selection import Candidates
from aqueue.store.store import Store
from tests.integration.accepting import accept
from tests.integration.depending import wants
from tests.integration.planning import BEGIN, DISABLED, ENABLED, Plan, a_schedule, at

LIMITS = Limits(jobs=2, queues={"lane": Queue(name="lane")})
SERVER = Server(id="server", pid=1, boot="boot", jobs=1, started_at=BEGIN, heartbeat_at=BEGIN)
COMMAND = Task(name="task", command="true", working_dir="/", queue="lane")


def run_of(store: Store, id_: int) -> Run:
    found = store.runs.get(id_)
    assert found is not None
    return found


def plans(connection: sqlite3.Connection, statements: Sequence[str]) -> set[tuple[str, str]]:
    """Return the query plan of each statement, step by step."""
    return {
        (statement, row[3])
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE", "WITH"))
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    }


def test_no_round_of_a_server_goes_through_all_runs(folder: Folder, connection: sqlite3.Connection) -> None:
    statements: list[str] = []
    with transaction(connection, folder):
        store = Store(connection)
        accept(store, "file", [COMMAND] * 3, 1.0)
        (run,) = store.claims.claim("server", LIMITS, 2.0).runs
        connection.set_trace_callback(statements.append)
        store.lifecycle.finish(Outcome(run=run, end=End.EXITED, at=3.0, exit_code=0), "server")
        store.servers.beat("server", LIMITS, 3.0)
        store.servers.adopt("server", {"server"}, ())
        store.servers.running_on("server")
        (run,) = store.claims.claim("server", LIMITS, 3.0).runs
        store.lifecycle.cancellations("server")
        store.queues.outlook(LIMITS, 3.0)
        store.submissions.add(COMMAND, 3.0, trigger=Trigger.MANUAL)
        list(store.queues.lines(store.runs.in_state(State.RUNNING), [], LIMITS.queues))
        store.queues.first("lane")
        store.queues.counts()
        connection.set_trace_callback(None)
    found = plans(connection, statements)
    assert len(found) > 10
    assert [plan for plan in found if plan[1] == "SCAN runs"] == []


def test_nothing_that_follows_for_what_comes_after_a_run_goes_through_all_runs(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    statements: list[str] = []
    requests = [wants("a"), wants("b", needs=["a"], runs=2), wants("c", needs=["b"], runs=2)]
    with transaction(connection, folder):
        store = Store(connection)
        connection.set_trace_callback(statements.append)
        a = store.submissions.enqueue(requests, 1.0, trigger=Trigger.MANUAL)[0].run_ids[0]
        store.submissions.enqueue([wants("d", after=["c-1", "group:b", "1"])], 1.0, trigger=Trigger.MANUAL)
        for code in (1, 0):
            (run,) = store.claims.claim("server", LIMITS, 2.0).runs
            store.lifecycle.finish(Outcome(run=run, end=End.EXITED, at=3.0, exit_code=code), "server")
            if code:
                store.lifecycle.retry([run_of(store, a)])
        store.dependencies.dependents([run_of(store, a)])
        store.dependencies.prerequisites(run_of(store, a + 1))
        store.lifecycle.cancel(run_of(store, a + 1), "cancelled", 4.0)
        list(store.queues.lines([run_of(store, a + 3)], [], LIMITS.queues))
        connection.set_trace_callback(None)
    # SQLite itself does not read what it writes for infinity.
    found = plans(connection, [re.sub(r"\bInf\b", "9e999", statement) for statement in statements])
    assert len(found) > 20
    scans = ("SCAN runs", "SCAN prerequisites", "SCAN prerequisite_runs", "SCAN p", "SCAN m")
    assert [plan for plan in found if plan[1] in scans] == []


@pytest.mark.parametrize("overlap", Overlap)
def test_nothing_that_is_done_about_schedules_goes_through_all_runs_or_schedules(
    folder: Folder, connection: sqlite3.Connection, overlap: Overlap
) -> None:
    statements: list[str] = []
    server = Server(id="server", pid=1, boot="boot", jobs=1, started_at=BEGIN, heartbeat_at=BEGIN)
    one, two = (a_schedule(name=name, window=60, overlap=overlap) for name in ("one", "two"))
    with transaction(connection, folder):
        store = Store(connection)
        put = partial(store.schedules.apply_file, now=BEGIN, is_edit=True, holds=lambda *_: False, limits=ENABLED)
        connection.set_trace_callback(statements.append)
        store.servers.enter(server)
        put("a.yaml", [one, two])
        put("b.yaml", [two])
        store.schedules.record_error("b.yaml", "wrong")
        put("b.yaml", [two])
        store.schedules.pause("one", at(1))
        store.schedules.resume("one", at(2))
        store.due_times.make(ENABLED, at(45.5))
        store.due_times.catch_up(ENABLED)
        store.queues.outlook(ENABLED, at(45.5))
        store.due_times.make(DISABLED, at(50))
        store.claims.claim("server", DISABLED, at(50))
        store.due_times.make(ENABLED, at(60))
        store.due_times.follow_clock(at(30))
        store.schedules.last_run("one")
        store.prospects.leave_if_idle(server, ENABLED, at(60))
        store.servers.ask_to_leave("server", Leaving.WHEN_DONE)
        store.servers.leave("server")
        put("b.yaml", [])
        store.schedules.forget(at(300))
        connection.set_trace_callback(None)
    found = plans(connection, statements)
    assert len(found) > 20
    assert [plan for plan in found if plan[1] in ("SCAN runs", "SCAN schedules")] == []
    for statement, plan in found:
        if "state = 'queued' AND id <>" in statement or "state IN ('queued', 'running')" in statement:
            assert " runs_overlapping " in plan, (statement, plan)


@pytest.mark.parametrize("overlap", Overlap)
@pytest.mark.parametrize("state", ["queued", "succeeded"])
def test_a_due_time_costs_the_same_however_many_runs_the_schedule_has(
    plan: Plan, connection: sqlite3.Connection, overlap: Overlap, state: str
) -> None:
    def steps(name: str, runs: int) -> int:
        task = a_schedule(name=name).task
        plan.put(a_schedule("* * * * *", name=name, overlap=overlap), when=0, file=f"{name}.yaml")
        with plan.open() as store:
            for number in range(runs):
                store.submissions.add(
                    task,
                    BEGIN,
                    trigger=Trigger.SCHEDULER,
                    run_id=f"{number}",
                    due=DueTime(name, BEGIN - number),
                )
            connection.execute("UPDATE runs SET state = ? WHERE name = ?", (state, name))
        plan.made(1)
        counter = count()
        connection.set_progress_handler(lambda: next(counter) and 0, 1)
        for minute in range(2, 12):
            plan.made(minute)
        connection.set_progress_handler(None, 0)
        plan.put(when=13, file=f"{name}.yaml")
        return next(counter)

    assert steps("many", 1000) < 1.5 * steps("few", 1)


def test_no_question_of_a_person_goes_through_all_runs(folder: Folder, connection: sqlite3.Connection) -> None:
    # The connection sees to it in the end.
    with transaction(connection, folder):
        store = Store(connection)
        accept(store, "file", [COMMAND] * 3, 1.0)
        for state in State:
            store.runs.ids(states=[state], limit=1, newest_first=True)
            store.runs.count(states=[state, State.FAILED], queue="lane")
        store.runs.select(queue="lane")
        store.runs.select(since=1.0)
        store.runs.ended_since(1.0)
        store.runs.count(since=1.0, queue="lane", states=[State.FAILED, State.HELD])
        store.runs.select(tag="key", group="group", queue="lane", states=[State.FAILED])
        store.runs.select(tag="key=value")
        store.runs.select(candidates=Candidates([1], [(2, 3)], "group"), states=[State.FAILED], tag="key")
        store.runs.tags()
        store.queues.recent()
        store.runs.current_attempts()
        store.runs.groups()
        store.runs.of_files(["file"])
        store.runs.ended([1, 2])
        store.runs.newest("task")
        store.runs.forget_ended(store.runs.ended_before(2.0, 10), 2.0, lambda _: False)
        with pytest.raises(RunError):
            store.runs.resolve("nothing")
        store.servers.enter(SERVER)
        store.prospects.left_runs(SERVER, Limits(serves=("lane",)), 2.0)
        store.prospects.outlook_for(SERVER.id, Limits(serves=("lane",)), 2.0)
        store.prospects.can_end([1], [SERVER], LIMITS, 2.0)
