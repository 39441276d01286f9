"""However many runs there are, what a server does again and again goes through none but those it is about."""

import sqlite3

from aqueue.capacity import Limits
from aqueue.db import transaction
from aqueue.folder import Folder
from aqueue.models import Queue, State, Task, Trigger
from aqueue.outcomes import End, Outcome
from aqueue.store import Store

LIMITS = Limits(jobs=2, queues={"lane": Queue(name="lane")})
COMMAND = Task(name="task", command="true", working_dir="/", queue="lane")


def test_no_round_of_a_server_goes_through_all_runs(folder: Folder, connection: sqlite3.Connection) -> None:
    statements: list[str] = []
    with transaction(connection, folder):
        store = Store(connection)
        store.accept("file", [COMMAND] * 3, 1.0)
        (run,) = store.claim("server", LIMITS, 2.0)
        connection.set_trace_callback(statements.append)
        store.finish(Outcome(run=run, end=End.EXITED, at=3.0, exit_code=0), "server")
        store.beat("server", LIMITS, 3.0)
        store.adopt("server", {"server"}, ())
        store.held_by("server")
        (run,) = store.claim("server", LIMITS, 3.0)
        store.cancellations("server")
        store.outlook(LIMITS, 3.0)
        store.add(COMMAND, 3.0, trigger=Trigger.MANUAL)
        list(store.lines(store.in_state(State.RUNNING), [], LIMITS.queues))
        store.first("lane")
        store.queues()
        connection.set_trace_callback(None)
    plans = {
        (statement, row[3])
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE"))
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    }
    assert len(plans) > 10
    assert [plan for plan in plans if plan[1] == "SCAN runs"] == []
