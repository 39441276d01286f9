"""Put runs into the store, as short as a test wants to say it."""

import sqlite3
import time
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from aqueue.folder.layout import Folder
from aqueue.model.config import Queue
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State, Trigger
from aqueue.model.server import Server
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.store.store import Store

NOW = 1_800_000_000.0


class Book:
    """A store, with what tests do to it again and again. Every method is a transaction of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.store = Store(connection)

    def add(self, name: str = "task", *, run_id: str | None = None, **changes: Any) -> Run:
        task = msgspec.structs.replace(Task(name=name, command="true", working_dir="/"), **changes)
        id_ = self.store.submissions.add(task, NOW, trigger=Trigger.MANUAL, run_id=run_id)
        assert id_ is not None
        return self.get(id_)

    def get(self, run: Run | int) -> Run:
        found = self.store.runs.get(run if isinstance(run, int) else run.id)
        assert found is not None
        return found

    def claim(
        self,
        server: str = "server",
        jobs: int = 1,
        now: float = NOW,
        *,
        queues: Sequence[Queue] = (),
        serves: Collection[str] | None = None,
    ) -> list[Run]:
        by_name = {queue.name: queue for queue in queues}
        return self.store.claims.claim(server, Limits(jobs=jobs, queues=by_name, serves=serves), now).runs

    def finish(self, run: Run, end: End = End.EXITED, code: int | None = 0, server: str = "server") -> Run | None:
        return self.store.lifecycle.finish(Outcome(run=run, end=end, exit_code=code, at=NOW + 1.0), server)

    def enter(self, server: str, boot: str = "boot", **changes: Any) -> Server:
        record = Server(id=server, pid=1, boot=boot, jobs=1, started_at=NOW, heartbeat_at=NOW)
        self.store.servers.enter(msgspec.structs.replace(record, **changes))
        return self.server(server)

    def server(self, server: str) -> Server:
        found = self.store.servers.get(server)
        assert found is not None
        return found

    def next_ready(self) -> float | None:
        return self.store.queues.outlook(Limits(), NOW).next_ready

    def in_state(self, state: State, name: str = "task") -> Run:
        """A new run that has come to `state`."""
        if state is State.HELD:
            return self.add(name, hold=True)
        run = self.add(name)
        if state is State.QUEUED:
            return run
        if state is State.ABORTED:
            self.store.lifecycle.cancel(run, "cancelled", NOW)
            return self.get(run)
        (running,) = self.claim(jobs=1000)
        if state is not State.RUNNING:
            self.finish(running, code=0 if state is State.SUCCEEDED else 3)
        return self.get(run)


def claimed(connection: sqlite3.Connection, folder: Folder, **changes: Any) -> Run:
    """A new run that a server has claimed this very moment."""
    book = Book(connection)
    book.add(**({"working_dir": str(folder.parent)} | changes))
    (run,) = book.claim(jobs=1000, now=time.time())
    return run
