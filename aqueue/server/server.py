"""A server: its parts, its start, and the order in which it stops."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from aqueue.folder.layout import Folder, display_path
from aqueue.folder.server_locks import ServerLock
from aqueue.formats.placeholders import OWN_VARIABLES
from aqueue.intake.config_reload import ConfigReload
from aqueue.intake.inbox import Inbox
from aqueue.intake.loop import IntakeLoop
from aqueue.intake.resolve import Resolver
from aqueue.isolation.pins import Pins
from aqueue.model.events import Event, FileRejected, Notice, Report
from aqueue.model.server import Server as ServerRecord
from aqueue.policy.limits import Limits
from aqueue.server.context import Callbacks, Context
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.history import History
from aqueue.server.idling import Idling
from aqueue.server.membership import Membership, new_record
from aqueue.server.open_files import raise_limit
from aqueue.server.settings import Options, Settings
from aqueue.server.signals import obey_parent, obey_signals
from aqueue.server.timer import Alarm, Repeated, Timer
from aqueue.store.orders import OrderFile
from aqueue.store.server_database import Database
from aqueue.store.store import Store
from aqueue.store.work import Work
from aqueue.threads import NoThreadError, in_thread, start_threads, warn_of_waiting

T = TypeVar("T")

RESCAN_SECONDS: Final = 60.0
"""Seconds between two scans of the whole folder, in case the kernel dropped a change."""

_THREADS: Final = 2
"""The number of threads needed from the start: one scans the folder, one files accepted files away."""


async def serve(folder: Folder, options: Options, clock: Clock, report: Report) -> bool:
    """Serve `folder` until asked to stop.

    Returns:
        True if no run failed, no file was rejected, and no run that needs a user is left queued.

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
                f"{advice(error, 'put it back and restart the server')}; runs go on",
            ) from error
        if isinstance(error, NoThreadError):
            raise ShortageError("the server cannot start the threads it needs", MORE_PROCESSES) from error
        raise


class _Server:
    """The parts of a server, and the callbacks between them.

    The dispatcher, the intake and the timer call each other: a part that is made later is looked up at the call.
    """

    def __init__(
        self,
        folder: Folder,
        options: Options,
        config_reload: ConfigReload,
        clock: Clock,
        report: Report,
        lock: ServerLock,
        database: Database,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._report = report
        self._lock = lock
        self._database = database
        self._environment = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
        self._files = raise_limit()
        self._settings = Settings(options, config_reload, self._environment, self._files.runs)
        self._known_config = config_reload.config
        self._has_rejected = False
        self._membership = Membership(
            folder,
            database,
            new_record(lock, self._settings.limits(), clock, options.queues, options.log),
            config_reload,
            clock,
            self._limits,
            lambda: self._intake.rescan(left_for=0.0),
            report,
        )
        self._pins = Pins(folder.scratch, self._write_from_thread, self._warn)
        self._dispatcher = self._new_dispatcher()
        self._inbox = Inbox(
            folder,
            lambda: self._settings.config,
            self._report_of_files,
            self._has_schedules,
            Resolver(self._read_from_thread, self._pins),
            self._runs_of,
        )
        self._intake = IntakeLoop(
            folder,
            self._inbox,
            config_reload,
            clock,
            deliver=self._dispatcher.accept,
            schedules_known=self._dispatcher.start_schedules,
            wake=self._wake,
            warn=self._warn,
        )
        self._idling = Idling(
            self._dispatcher,
            self._membership,
            self._intake,
            self._idle_timeout,
            clock,
            report,
            despite_schedules=options.drain or options.ignore_schedules,
        )
        self._heartbeat = Repeated(clock, lambda: self._settings.config.heartbeat_interval, self._beat)
        self._timer = self._new_timer()

    def _new_dispatcher(self) -> Dispatcher:
        folder, clock, report = self._folder, self._clock, self._report
        executor = LocalExecutor(
            folder,
            clock,
            self._environment,
            lambda: self._settings.config,
            open_files=self._files.before if self._files.before != self._files.most else None,
            report=report,
        )
        callbacks = Callbacks(
            limits=self._limits,
            check_liveness=self._membership.check_liveness,
            clear_gone=self._membership.clear_gone,
            after_cycle=lambda: self._timer.reschedule(),
            apply_record=self._apply_record,
            leave=lambda leaving: self._apply_record(
                msgspec.structs.replace(self._membership.record, leaving=leaving)
            ),
            publish_shortage=self._lock.publish_shortage,
            targets=lambda: self._settings.config.notify,
        )
        context = Context(folder, self._database, self._lock.id, clock, report)
        return Dispatcher(context, callbacks, executor, self._pins)

    def _new_timer(self) -> Timer:
        manager = self._settings.options.manager
        history = History(self._folder, lambda: self._settings.config.keep, self._clock, self._report)
        return Timer(
            self._clock,
            [
                self._heartbeat,
                Repeated(self._clock, lambda: manager.interval, manager.show_life),
                Repeated(self._clock, lambda: RESCAN_SECONDS, self._rescan),
                Repeated(self._clock, lambda: history.interval, history.shorten),
                # A due schedule, a retry, a server that becomes stale, a GPU to read again.
                Alarm(lambda: self._dispatcher.next_at, self._dispatcher.resume),
                Alarm(lambda: self._dispatcher.notifier.next_at, self._dispatcher.notifier.resume),
                Alarm(self._idling.moment, self._idling.leave),
                Alarm(lambda: self._dispatcher.gpus.idle_at, self._dispatcher.gpus.close_if_idle),
            ],
        )

    @classmethod
    async def open(
        cls, stack: AsyncExitStack, folder: Folder, options: Options, clock: Clock, report: Report
    ) -> "_Server":
        config_reload = ConfigReload(folder, os.environ, report)
        database = await Database.open(folder)
        stack.push_async_callback(_shielded, database.close)
        await start_threads(_THREADS)
        OrderFile(str(folder.orders)).prepare()
        lock = ServerLock.announce(folder.servers)
        stack.callback(lock.release)
        return cls(folder, options, config_reload, clock, report, lock, database)

    def _limits(self) -> Limits:
        return self._settings.limits(self._membership.record.raised_to)

    def _idle_timeout(self) -> float | None:
        return self._settings.idle_timeout(self._membership.record, has_schedules=self._dispatcher.has_schedules)

    @property
    def has_done_all(self) -> bool:
        """Return True if nothing failed and nothing is left; see `serve`."""
        return not (self._dispatcher.failed or self._has_rejected or self._idling.left_queued)

    async def run(self) -> None:
        warn_of_waiting(lambda text: self._warn(f"{text}; {MORE_PROCESSES}"))
        self._inbox.schedule_files.add_stored(await self._membership.enter())
        left = await in_thread(partial(self._inbox.claimed_files.recover, self._last_id))
        async with anyio.create_task_group() as services:
            await services.start(
                obey_signals,
                self._dispatcher,
                self._membership,
                self._settings.options.on_stop,
                lambda: self._settings.config.grace,
                self._report,
                services.cancel_scope.cancel,
            )
            if self._settings.options.parent is not None:
                services.start_soon(obey_parent, self._settings.options.parent)
            await services.start(self._intake.run, left)
            services.start_soon(self._timer.run)
            services.start_soon(self._dispatcher.notifier.run)
            where = display_path(self._folder.path)
            self._report(Notice(f"serving {where}: drop task files there; Ctrl-C to stop"))
            self._settings.options.when_ready()
            await self._dispatcher.run()
            await self._dispatcher.notifier.finish()
            services.cancel_scope.cancel()
        # While runs go on without it, the next server needs its record.
        if not self._dispatcher.running:
            await _shielded(self._membership.leave)

    def _apply_record(self, record: ServerRecord) -> None:
        self._membership.apply_record(record, self._dispatcher)

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

    def _runs_of(self, names: Sequence[str]) -> Mapping[str, Sequence[int]]:
        return self._read_from_thread(lambda connection: Store(connection).runs.of_files(names))

    def _last_id(self) -> int:
        return self._read_from_thread(lambda connection: Store(connection).runs.last_id())

    def _wake(self) -> None:
        if self._settings.config is not self._known_config:
            # Other servers need the new record, and the heartbeat interval may have changed.
            self._known_config = self._settings.config
            self._heartbeat.bring_forward()
            self._timer.reschedule()
            self._dispatcher.notifier.wake()
        self._dispatcher.wake()

    async def _beat(self) -> None:
        self._database.check()
        self._dispatcher.beat()

    async def _rescan(self) -> None:
        self._folder.check_safe()
        self._intake.rescan(left_for=10.0)
        with contextlib.suppress(DiskFullError, BusyError, SnapshotError):
            await in_thread(self._pins.remove_unused)


async def _shielded(do: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(5.0, shield=True):
        await do()
