"""This server among those of its folder: its record, the liveness of others, and requests to it."""

import contextlib
import math
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from aqueue.clock import Clock, boot
from aqueue.errors import BusyError, DatabaseError, DiskFullError
from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import ServerLock, forget, is_up
from aqueue.intake.config_reload import ConfigReload
from aqueue.model.events import Notice, Report
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.server.cycle_result import Liveness
from aqueue.server.dispatcher import Dispatcher
from aqueue.store.prospects import Left
from aqueue.store.server_database import Database
from aqueue.store.store import Store
from aqueue.units import counted

STOPPED: Final = "stopped with the server"
"""The reason of runs that a server stops because it is asked to leave at once."""


class Membership:
    """The membership of one server among those of its folder.

    Args:
        record: this server as other processes see it.
        settings: the configuration, which says when a heartbeat is stale.
        limits: returns the limits of this server.
        take_over: is called when a server is gone, which may have left claimed files.
        report: receives what this server is asked to do.
    """

    def __init__(
        self,
        folder: Folder,
        database: Database,
        record: Server,
        settings: ConfigReload,
        clock: Clock,
        limits: Callable[[], Limits],
        take_over: Callable[[], None],
        report: Report,
    ) -> None:
        self._folder = folder
        self._database = database
        self._settings = settings
        self._clock = clock
        self._limits = limits
        self._take_over = take_over
        self._report = report
        self._woke_at = -math.inf
        self.record = record
        """This server, as last read from the store."""

    async def enter(self) -> list[str]:
        """Record this server, and return the files that have schedules."""

        def enter(connection: sqlite3.Connection) -> list[str]:
            store = Store(connection)
            # Before any run is adopted: timeouts and delays count from times in the store.
            store.servers.follow_set_clock(self.record.boot, self._clock.ahead())
            store.servers.enter(self.record)
            return [schedule.file for schedule in store.schedules.all() if schedule.file is not None]

        return await self._database.write(enter)

    async def leave(self) -> None:
        """Remove the record of this server."""
        with contextlib.suppress(DatabaseError):
            await self._database.write(lambda connection: Store(connection).servers.leave(self.record.id))

    async def leave_if_idle(self, *, despite_schedules: bool) -> Left | None:
        """Mark this server as leaving, unless there is something to do.

        Returns:
            the runs that stay queued because they cannot start without a user; None if the server stays.
        """
        record, limits, now = self.record, self._limits(), self._clock.now()

        def leave(connection: sqlite3.Connection) -> Left | None:
            store = Store(connection)
            if not store.prospects.leave_if_idle(record, limits, now, despite_schedules=despite_schedules):
                return None
            return store.prospects.left_runs(record, limits, now)

        try:
            return await self._database.write(leave)
        except (DiskFullError, BusyError):
            return None

    async def announce_leaving(self) -> None:
        """Mark this server as leaving after its runs end."""
        with contextlib.suppress(DatabaseError):
            await self._database.write(
                lambda connection: Store(connection).servers.ask_to_leave(self.record.id, Leaving.WHEN_DONE)
            )

    def check_liveness(self, servers: Sequence[Server], now: float) -> Liveness:
        """Return which servers are alive and which are gone; a suspended one is neither.

        It has no side effects: the transaction that calls it may fail or be repeated.
        """
        stale_after = self._settings.config.stale_after
        # Before the last change of the configuration, another heartbeat interval may have applied.
        heard_at = {server.id: max(server.heartbeat_at, self._settings.changed_at) for server in servers}
        # After a suspend, others may have slept too: they get time for a heartbeat.
        has_slept = now - heard_at.pop(self.record.id, now) > stale_after
        woke_at = now if has_slept else min(self._woke_at, now)
        fresh, gone, stale_at = {self.record.id}, set(), math.inf
        for id_, at in heard_at.items():
            if not is_up(self._folder.servers, id_):
                gone.add(id_)
            elif now < (until := max(at, woke_at) + stale_after):
                fresh.add(id_)
                stale_at = min(stale_at, until)
        return Liveness(fresh, gone, woke_at, stale_at)

    def clear_gone(self, liveness: Liveness) -> None:
        """Remove the files of servers that are gone, once the store has forgotten them."""
        self._woke_at = liveness.woke_at
        for id_ in liveness.gone:
            forget(self._folder.servers, id_)
        if liveness.gone:
            self._take_over()

    def apply_record(self, record: Server, dispatcher: Dispatcher) -> None:
        """Act on changes in the store's record of this server."""
        before, self.record = self.record, record
        if record.raised_to > before.raised_to:
            self._report(Notice(f"from now on up to {counted(self._limits().jobs, 'run')} at a time"))
            dispatcher.wake()
        if record.wanted_at > before.wanted_at:
            dispatcher.idle_since = None
        if record.leaving is before.leaving:
            return
        if not dispatcher.is_draining:
            self._report(Notice("asked to stop: no more runs are started"))
            dispatcher.drain()
        if record.leaving is Leaving.AT_ONCE:
            dispatcher.stop_runs(STOPPED)


def new_record(
    lock: ServerLock, limits: Limits, clock: Clock, queues: tuple[str, ...] | None, log: str | None
) -> Server:
    """Return the record of a new server.

    Args:
        lock: the lock that shows that this process serves the folder.
        queues: the only queues it serves; None: all.
        log: the file of its messages; None if they go to its terminal.
    """
    now = clock.now()
    return Server(
        id=lock.id,
        pid=os.getpid(),
        boot=boot(),
        jobs=limits.jobs,
        started_at=now,
        heartbeat_at=now,
        queues=queues,
        log=log,
        wanted_at=now,
        disabled_by=limits.disabled_by,
        owns=tuple(tuple(ids) for ids in limits.owns),
    )
