"""A server: what it is made of, how it starts, and in which order it stops."""

import contextlib
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeVar

import anyio
import anyio.abc
import anyio.from_thread
import msgspec

from aqueue.clock import Clock
from aqueue.errors import (
    MORE_PROCESSES,
    AqueueError,
    BusyError,
    DiskFullError,
    FolderError,
    ShortageError,
    SnapshotError,
    advice,
)
from aqueue.executors.local.executor import LocalExecutor
from aqueue.executors.local.open_files import raise_limit
from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import ServerLock
from aqueue.formats.placeholders import OWN_VARIABLES
from aqueue.gpus.probe import Gpus
from aqueue.intake.config_reload import ConfigReload
from aqueue.intake.inbox import Inbox
from aqueue.intake.loop import IntakeLoop
from aqueue.intake.resolve import Resolver
from aqueue.isolation.pins import Pins
from aqueue.model.config import Config
from aqueue.model.events import Event, FileRejected, Notice, Report
from aqueue.model.gpu import GpuId, owned
from aqueue.model.server import Server as ServerRecord
from aqueue.policy.limits import Limits
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.idling import Idling
from aqueue.server.membership import Membership, new_record
from aqueue.server.schedules import Planner
from aqueue.server.signals import obey_signals
from aqueue.server.slots import Slots
from aqueue.server.timer import Alarm, Repeated, Timer
from aqueue.store.database import Work
from aqueue.store.orders import OrderFile
from aqueue.store.server_database import Database
from aqueue.store.store import Store
from aqueue.threads import NoThreadError, have_threads, in_thread, warn_of_waiting

T = TypeVar("T")

RESCAN_SECONDS: Final = 60.0
"""Seconds between two looks at the whole folder, in case the kernel dropped a change."""

_THREADS: Final = 2
"""The number of threads needed from the start: one looks at the folder, another files away what was taken."""


def _nothing() -> None:
    pass


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the command line, which override the configuration.

    Attributes:
        jobs: None: as configured.
        idle_timeout: seconds; None: as configured.
        drain: exit as soon as nothing runs or can start without a person.
        ignore_schedules: let an idle timeout end it although there are schedules.
        queues: the only queues to serve; None: all.
        gpus: the only GPUs to use; None: all.
        log: where what it reports is written; None: where it was started.
        when_ready: is called once it serves.
    """

    jobs: int | None = None
    idle_timeout: float | None = None
    drain: bool = False
    ignore_schedules: bool = False
    queues: tuple[str, ...] | None = None
    gpus: tuple[GpuId, ...] | None = None
    log: str | None = None
    when_ready: Callable[[], None] = _nothing


async def serve(folder: Folder, options: Options, clock: Clock, report: Report) -> bool:
    """Serve `folder` until told to stop.

    Returns:
        True if all has been done: no run has failed meanwhile, no file was rejected, and it has not left although
        runs are queued, because those need a person.

    Raises:
        AqueueError: the folder, its configuration or its database cannot be used.
    """
    try:
        folder.create()
        async with AsyncExitStack() as stack:
            server = await _Server.open(stack, folder, options, clock, report)
            await server.run()
            return server.has_done_all
    except (BaseExceptionGroup, NoThreadError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, AqueueError):
            raise error from None
        if isinstance(error, OSError):
            raise FolderError(
                f"{folder.state} cannot be used: {error.strerror} ({error.filename})",
                f"{advice(error, 'put it back and serve again')}; what runs goes on",
            ) from error
        if isinstance(error, NoThreadError):
            raise ShortageError("a server needs more threads than can be had now", MORE_PROCESSES) from error
        raise


class _Server:
    def __init__(
        self,
        folder: Folder,
        options: Options,
        settings: ConfigReload,
        clock: Clock,
        report: Report,
        presence: ServerLock,
        database: Database,
    ) -> None:
        self._folder = folder
        self._options = options
        self._settings = settings
        self._clock = clock
        self._report = report
        self._presence = presence
        self._database = database
        self._environment = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
        self._known_config = settings.config
        self._has_rejected = False
        self._owns = owned(options.gpus, self._environment)
        self._files = raise_limit()
        self._membership = Membership(
            folder,
            database,
            new_record(presence, self._limits_if_raised_to(0), clock, options.queues, options.log),
            settings,
            clock,
            self._limits,
            lambda: self._intake.rescan(left_for=0.0),
            report,
        )
        executor = LocalExecutor(
            folder,
            clock,
            self._environment,
            lambda: settings.config,
            open_files=self._files.before if self._files.before != self._files.most else None,
            report=report,
        )
        self._keeper = Pins(folder.scratch, self._write_from_thread, self._warn)
        self._dispatcher = Dispatcher(
            folder=folder,
            database=database,
            server=presence.id,
            limits=self._limits,
            call_roll=self._membership.roll_call,
            bury=self._membership.bury,
            executor=executor,
            meet_others=executor.have_company,
            slots=Slots(),
            rested=lambda: self._timer.look(),
            planner=Planner(folder, report),
            pins=self._keeper,
            take_orders=self._take_orders,
            leave=lambda leaving: self._take_orders(
                msgspec.structs.replace(self._membership.record, leaving=leaving)
            ),
            tell=presence.tell,
            gpus=Gpus(folder),
            clock=clock,
            report=report,
        )
        preparation = Resolver(self._read_from_thread, self._keeper)
        self._inbox = Inbox(
            folder, lambda: settings.config, self._report_of_files, self._has_schedules, preparation
        )
        self._intake = IntakeLoop(
            folder,
            self._inbox,
            settings,
            clock,
            deliver=self._dispatcher.accept,
            schedules_known=self._dispatcher.keep_schedules,
            wake=self._wake,
            warn=self._warn,
        )
        self._idling = Idling(
            self._dispatcher,
            self._membership,
            self._intake,
            lambda: self._idle_timeout,
            clock,
            report,
            despite_schedules=options.drain or options.ignore_schedules,
        )
        self._heartbeat = Repeated(clock, lambda: self._config.heartbeat_interval, self._beat)
        self._timer = Timer(
            clock,
            [
                self._heartbeat,
                Repeated(clock, lambda: RESCAN_SECONDS, self._rescan),
                # A due schedule, a retry, a server that becomes stale, a GPU to look at again.
                Alarm(lambda: self._dispatcher.next_at, self._dispatcher.resume),
                Alarm(self._idling.moment, self._idling.leave),
            ],
        )

    @classmethod
    async def open(
        cls, stack: AsyncExitStack, folder: Folder, options: Options, clock: Clock, report: Report
    ) -> "_Server":
        settings = ConfigReload(folder, os.environ, report)
        database = await Database.open(folder)
        stack.push_async_callback(_shielded, database.close)
        await have_threads(_THREADS)
        OrderFile(str(folder.orders)).prepare()
        presence = ServerLock.announce(folder.servers)
        stack.callback(presence.release)
        return cls(folder, options, settings, clock, report, presence, database)

    @property
    def _config(self) -> Config:
        return self._settings.config

    def _limits(self) -> Limits:
        return self._limits_if_raised_to(self._membership.record.raised_to)

    def _limits_if_raised_to(self, jobs: int) -> Limits:
        return Limits(
            jobs=max(self._options.jobs or self._config.jobs, jobs),
            runs=self._files.runs,
            queues=self._config.queues,
            serves=self._options.queues,
            disabled_by=self._config.disabled_by,
            rules=self._config.gpus,
            owns=self._owns,
        )

    @property
    def _idle_timeout(self) -> float | None:
        if self._options.drain:
            return self._membership.record.stays_for
        if self._dispatcher.has_schedules and not self._options.ignore_schedules:
            return None
        seconds = self._config.idle_timeout if self._options.idle_timeout is None else self._options.idle_timeout
        return None if seconds is None else max(seconds, self._membership.record.stays_for)

    @property
    def has_done_all(self) -> bool:
        """Return True if all has been done that was asked for while this served."""
        return not (self._dispatcher.failed or self._has_rejected or self._idling.left_queued)

    async def run(self) -> None:
        warn_of_waiting(lambda text: self._warn(f"{text}; {MORE_PROCESSES}"))
        self._inbox.schedule_files.know(await self._membership.enter())
        left = await in_thread(partial(self._inbox.recover, self._last_id))
        async with anyio.create_task_group() as services:
            await services.start(
                obey_signals,
                self._dispatcher,
                self._membership,
                lambda: self._config.grace,
                self._report,
                services.cancel_scope.cancel,
            )
            await services.start(self._intake.run, left)
            services.start_soon(self._timer.run)
            where = os.path.relpath(self._folder.path)
            self._report(Notice(f"serving {where}: drop task files there; Ctrl-C to stop"))
            self._options.when_ready()
            await self._dispatcher.run()
            services.cancel_scope.cancel()
        # With runs that go on without it, its record still has something to tell to the next server.
        if not self._dispatcher.running:
            await _shielded(self._membership.leave)

    def _take_orders(self, record: ServerRecord) -> None:
        self._membership.take_orders(record, self._dispatcher)

    def _report_of_files(self, *events: Event) -> None:
        self._has_rejected = self._has_rejected or any(isinstance(event, FileRejected) for event in events)
        self._report(*events)

    def _warn(self, text: str) -> None:
        self._report(Notice(text, urgent=True))

    def _write_from_thread(self, work: Work[T]) -> T:
        return anyio.from_thread.run(self._database.write, work)

    def _read_from_thread(self, work: Work[T]) -> T:
        return anyio.from_thread.run(self._database.read, work)

    def _has_schedules(self, file: str) -> bool:
        return self._read_from_thread(lambda connection: bool(Store(connection).schedules.all(file)))

    def _last_id(self) -> int:
        return self._read_from_thread(lambda connection: Store(connection).runs.last_id())

    def _wake(self) -> None:
        if self._config is not self._known_config:
            # Others have to know of it, and it may say how often they are to hear of this server.
            self._known_config = self._config
            self._heartbeat.bring_forward()
            self._timer.look()
        self._dispatcher.wake()

    async def _beat(self) -> None:
        self._database.check()
        self._dispatcher.beat()

    async def _rescan(self) -> None:
        self._folder.check_safe()
        self._intake.rescan(left_for=10.0)
        with contextlib.suppress(DiskFullError, BusyError, SnapshotError):
            await in_thread(self._keeper.forget_unused)


async def _shielded(do: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(5.0, shield=True):
        await do()
