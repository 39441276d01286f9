"""A dispatcher as a server has it, over a real store, for tests that are about nothing else of a server."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import msgspec

from aqueue.errors import BusyError
from aqueue.folder.layout import Folder
from aqueue.isolation.pins import Pins
from aqueue.model.events import Event, Notice
from aqueue.model.notification import Target
from aqueue.model.run import Run, State, Trigger
from aqueue.model.server import Server
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.server.context import Callbacks, Context
from aqueue.server.cycle_result import Liveness
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.timer import Alarm, Timer
from aqueue.store.database import connect
from aqueue.store.server_database import Database
from aqueue.store.store import Store
from aqueue.store.work import Work
from tests.clock import SetClock
from tests.integration.server.by_hand import AttemptByHand, ByHand
from tests.waiting import eventually_async

T = TypeVar("T")

HERE = "here"
NO_LIMITS = Limits()


class Dispatching:
    """A dispatcher at work, and the store that it works on.

    Args:
        others: the servers that are up beside it; any other is gone.
    """

    def __init__(
        self,
        folder: Folder,
        database: Database,
        limits: Limits,
        server: str = HERE,
        executor: str = "by hand",
        others: Collection[str] = (),
    ) -> None:
        self.clock = SetClock()
        self.executor = ByHand(executor)
        self._up = {server, *others}
        self.limits = limits
        self.is_over = False
        self.keeps_no_code = False
        self._database = database
        self.notices: list[str] = []
        self._connection = connect(folder)
        self.store = Store(self._connection)
        if self.store.servers.get(server) is None:
            self.store.servers.enter(
                Server(id=server, pid=os.getpid(), boot="", jobs=1, started_at=0.0, heartbeat_at=1000.0)
            )
        self.targets: tuple[Target, ...] = ()
        callbacks = Callbacks(
            limits=lambda: self.limits,
            check_liveness=self._check_liveness,
            clear_gone=lambda _: None,
            after_cycle=lambda: self.timer.reschedule(),
            apply_record=lambda _: None,
            leave=lambda _: None,
            publish_shortage=lambda _: None,
            targets=lambda: self.targets,
        )
        context = Context(folder, database, server, self.clock, self._report)
        pins = Pins(folder.scratch, self._write, self.notices.append)
        self.dispatcher = Dispatcher(context, callbacks, self.executor, pins)
        self.slots = self.dispatcher.slots
        self.timer = Timer(self.clock, [Alarm(lambda: self.dispatcher.next_at, self.dispatcher.resume)])

    def _write(self, work: Work[T]) -> T:
        if self.keeps_no_code:
            raise BusyError("the database is busy")
        return anyio.from_thread.run(self._database.write, work)

    async def run(self) -> None:
        await self.dispatcher.run()
        self.is_over = True

    def _report(self, *events: Event) -> None:
        self.notices += [event.text for event in events if isinstance(event, Notice)]

    def _check_liveness(self, servers: Sequence[Server], now: float) -> Liveness:
        gone = {one.id for one in servers} - self._up
        return Liveness(self._up, gone, 0.0, now + 1000.0)

    def add(self, name: str, **changes: Any) -> Run:
        """Queue a run, and let the dispatcher know."""
        task = msgspec.structs.replace(Task(name=name, command="true", working_dir="/"), **changes)
        id_ = self.store.submissions.add(task, self.clock.now(), trigger=Trigger.MANUAL)
        assert id_ is not None
        self.dispatcher.wake()
        return self.get(id_)

    def get(self, run: Run | int) -> Run:
        found = self.store.runs.get(run if isinstance(run, int) else run.id)
        assert found is not None
        return found

    async def started(self, run: Run, number: int = 1) -> AttemptByHand:
        """The attempt of this number, once it is there."""
        key = (run.id, number)
        await eventually_async(lambda: key in self.executor.attempts)
        return self.executor.attempts[key]

    async def until(self, run: Run, *states: State) -> Run:
        await eventually_async(lambda: self.get(run).state in states)
        return self.get(run)

    async def until_told(self, words: str) -> None:
        await eventually_async(lambda: any(words in text for text in self.notices))

    async def trace(self, note: Callable[[str], None]) -> None:
        """Have each statement of the dispatcher noted."""
        for is_small in (True, False):
            await self._database.write(lambda connection: connection.set_trace_callback(note), is_small=is_small)

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def close(self) -> None:
        self._connection.close()


@asynccontextmanager
async def dispatching(
    folder: Folder,
    limits: Limits = NO_LIMITS,
    *,
    server: str = HERE,
    executor: str = "by hand",
    others: Collection[str] = (),
) -> AsyncIterator[Dispatching]:
    """Dispatch, for as long as the block lasts."""
    database = await Database.open(folder)
    one = Dispatching(folder, database, limits, server, executor, others)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.timer.run)
            tasks.start_soon(one.run)
            yield one
            tasks.cancel_scope.cancel()
    finally:
        one.close()
        await database.close()
