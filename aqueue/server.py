"""A server: what it is made of, how it starts, and in which order it stops."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio
import anyio.abc
import anyio.from_thread
import msgspec

from aqueue import configfile, process
from aqueue.capacity import Limits
from aqueue.clock import Clock
from aqueue.config import Config
from aqueue.db import Database
from aqueue.dispatcher import Dispatcher
from aqueue.errors import AqueueError, BusyError, DatabaseError, DiskFullError, FolderError
from aqueue.events import Detail, Notice, Report
from aqueue.folder import Folder
from aqueue.inbox import Inbox
from aqueue.intake import Intake
from aqueue.models import Run
from aqueue.models import Server as ServerRecord
from aqueue.presence import Presence, forget, is_up
from aqueue.runner import OWN_VARIABLES, Runner
from aqueue.store import Store
from aqueue.timer import RESCAN_SECONDS, repeat, until_idle


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says over the configuration.

    Attributes:
        jobs: None: as configured.
        idle_timeout: seconds; None: as configured.
        drain: exit as soon as nothing is queued or running.
    """

    jobs: int | None = None
    idle_timeout: float | None = None
    drain: bool = False


async def serve(folder: Folder, options: Options, clock: Clock, report: Report) -> None:
    """Serve `folder` until told to stop.

    Raises:
        AqueueError: the folder, its configuration or its database cannot be used.
    """
    try:
        folder.create()
        async with AsyncExitStack() as stack:
            server = await _Server.open(stack, folder, options, clock, report)
            await server.run()
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, AqueueError):
            raise error from None
        if isinstance(error, OSError):
            raise FolderError(
                f"{folder.state} cannot be used: {error.strerror} ({error.filename})",
                "put it back and serve again; what runs goes on",
            ) from error
        raise


class _Server:
    def __init__(
        self,
        folder: Folder,
        options: Options,
        config: Config,
        clock: Clock,
        report: Report,
        presence: Presence,
        database: Database,
    ) -> None:
        self._folder = folder
        self._options = options
        self._clock = clock
        self._report = report
        self._presence = presence
        self._database = database
        self._config = config
        self._environment = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
        self._dispatcher = Dispatcher(
            folder=folder,
            database=database,
            server=presence.id,
            limits=lambda: Limits(jobs=self._jobs),
            new_runner=self._new_runner,
            clock=clock,
            report=report,
        )
        self._inbox = Inbox(folder, lambda: self._config, report)
        self._intake = Intake(folder, self._inbox, clock, self._dispatcher.accept, self._dispatcher.wake)

    @classmethod
    async def open(
        cls, stack: AsyncExitStack, folder: Folder, options: Options, clock: Clock, report: Report
    ) -> "_Server":
        config = configfile.load(folder)
        database = await Database.open(folder)
        stack.push_async_callback(_shielded, database.close)
        presence = Presence.announce(folder.servers)
        stack.callback(presence.release)
        return cls(folder, options, config, clock, report, presence, database)

    @property
    def _jobs(self) -> int:
        return self._options.jobs or self._config.jobs

    @property
    def _idle_timeout(self) -> float | None:
        if self._options.drain:
            return 0.0
        return self._config.idle_timeout if self._options.idle_timeout is None else self._options.idle_timeout

    def _new_runner(self, run: Run) -> Runner:
        return Runner(run, self._folder, self._clock, self._environment, self._config.grace)

    async def run(self) -> None:
        self._dispatcher.adopt(await self._enter())
        left = await anyio.to_thread.run_sync(self._inbox.recover, self._last_id)
        async with anyio.create_task_group() as services:
            await services.start(self._handle_signals, services)
            services.start_soon(self._intake.run, left)
            services.start_soon(repeat, lambda: self._config.heartbeat_interval, self._beat)
            services.start_soon(repeat, lambda: RESCAN_SECONDS, self._rescan)
            if self._idle_timeout is not None:
                services.start_soon(self._leave_when_idle, self._idle_timeout)
            where = os.path.relpath(self._folder.path)
            self._report(Notice(f"serving {where}: drop task files there; Ctrl-C to stop"))
            await self._dispatcher.run()
            services.cancel_scope.cancel()
        # With runs that go on without it, its record still has something to tell to the next server.
        if not self._dispatcher.running:
            await _shielded(self._leave)

    def _last_id(self) -> int:
        return anyio.from_thread.run(self._database.write, lambda connection: Store(connection).last_id())

    async def _enter(self) -> list[tuple[Run, str]]:
        now = self._clock.now()
        record = ServerRecord(
            id=self._presence.id,
            pid=os.getpid(),
            boot=process.boot(),
            jobs=self._jobs,
            started_at=now,
            heartbeat_at=now,
        )

        def work(connection: sqlite3.Connection) -> list[tuple[Run, str]]:
            Store(connection).enter(record)
            return self._adopt(connection)

        return await self._database.write(work)

    def _adopt(self, connection: sqlite3.Connection) -> list[tuple[Run, str]]:
        """Take over the runs of servers that are gone, and forget those servers."""
        store = Store(connection)
        known = [server.id for server in store.servers()]
        living = {server for server in known if server == self._presence.id or is_up(self._folder.servers, server)}
        for server in set(known) - living:
            forget(self._folder.servers, server)
        return store.adopt(self._presence.id, living)

    async def _leave(self) -> None:
        with contextlib.suppress(DatabaseError):
            await self._database.write(lambda connection: Store(connection).leave(self._presence.id))

    async def _beat(self) -> None:
        now = self._clock.now()

        def work(connection: sqlite3.Connection) -> list[tuple[Run, str]]:
            Store(connection).beat(self._presence.id, now)
            return self._adopt(connection)

        # On a full disk there are no signs of life; its file is locked all the same.
        self._database.check()
        with contextlib.suppress(DiskFullError, BusyError):
            self._dispatcher.adopt(await self._database.write(work))

    async def _rescan(self) -> None:
        self._folder.check_safe()
        await self._intake.accept(await anyio.to_thread.run_sync(self._inbox.left_behind, 10.0))
        self._intake.rescan()

    async def _leave_when_idle(self, seconds: float) -> None:
        def idle_since() -> float | None:
            return self._dispatcher.idle_since if self._intake.is_settled else None

        await until_idle(seconds, idle_since, self._clock)
        self._report(Detail("nothing is queued or running: leaving"))
        self._dispatcher.drain()

    async def _handle_signals(
        self, services: anyio.abc.TaskGroup, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            count = 0
            async for _ in signals:
                count += 1
                running = self._dispatcher.running
                if count == 1:
                    self._dispatcher.drain()
                    if running:
                        runs = f"{running} run" + ("s" if running > 1 else "")
                        self._report(
                            Notice(
                                f"waiting for {runs} to end; once more to stop them, a third time to leave them"
                            )
                        )
                elif count == 2:
                    self._report(Notice(f"stopping what runs; within {self._config.grace:.0f} s it is killed"))
                    self._dispatcher.stop_runs("stopped with the server")
                else:
                    self._report(Notice("leaving; the next server takes over what runs"))
                    services.cancel_scope.cancel()
                    return


async def _shielded(do: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(5.0, shield=True):
        await do()
