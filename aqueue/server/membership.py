"""This server among those of its folder: what the store has of it, who else is up, and what it is asked to do."""

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

STOPPED: Final = "stopped with the server"
"""Why a run is over whose server was to leave at once."""


class Membership:
    """One server's place among those that serve its folder.

    Args:
        record: what others are to know of this server.
        settings: how often a sign of life is due, and when a server without one is stale.
        limits: of this server, asked anew each time.
        take_over: is called when a server is found to be gone, which may have left files behind.
        report: is told what this server is asked to do.
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
        """As it was when the store was last asked."""

    async def enter(self) -> list[str]:
        """Have this server be known, and return the files that have schedules."""

        def enter(connection: sqlite3.Connection) -> list[str]:
            store = Store(connection)
            # Before anything is adopted: timeouts and delays count from moments in the store.
            store.servers.follow_set_clock(self.record.boot, self._clock.ahead())
            store.servers.enter(self.record)
            return [schedule.file for schedule in store.schedules.all() if schedule.file is not None]

        return await self._database.write(enter)

    async def leave(self) -> None:
        """Have this server be forgotten."""
        with contextlib.suppress(DatabaseError):
            await self._database.write(lambda connection: Store(connection).servers.leave(self.record.id))

    async def leave_if_idle(self, *, despite_schedules: bool) -> Left | None:
        """Have this server leave, unless there is something to do.

        Returns:
            The runs that are left, because only a person can have them started; None if it stays.
        """
        record, limits, now = self.record, self._limits(), self._clock.now()

        def leave(connection: sqlite3.Connection) -> Left | None:
            store = Store(connection)
            if not store.prospects.leave_if_idle(record, limits, now, despite_schedules=despite_schedules):
                return None
            return store.prospects.left_behind(record, limits, now)

        try:
            return await self._database.write(leave)
        except (DiskFullError, BusyError):
            return None

    async def tell_others_of_leaving(self) -> None:
        """Have the store say that this server leaves once what it runs is over."""
        with contextlib.suppress(DatabaseError):
            await self._database.write(
                lambda connection: Store(connection).servers.send_away(self.record.id, Leaving.WHEN_DONE)
            )

    def check_liveness(self, servers: Sequence[Server], now: float) -> Liveness:
        """Tell the servers that give a sign of life from those that are gone; a stopped one is neither.

        This changes nothing: the transaction in which it is asked may fail, or be done again.
        """
        stale_after = self._settings.config.stale_after
        # Before that, another configuration may have said how often there is to be a sign of life.
        heard_at = {server.id: max(server.heartbeat_at, self._settings.changed_at) for server in servers}
        # Whoever slept does not know who else did, until they had the time to say so.
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
        """Clear away what is left of the servers that are gone, now that the store has forgotten them."""
        self._woke_at = liveness.woke_at
        for id_ in liveness.gone:
            forget(self._folder.servers, id_)
        if liveness.gone:
            self._take_over()

    def take_orders(self, record: Server, dispatcher: Dispatcher) -> None:
        """Do what the store says that this server is to do."""
        before, self.record = self.record, record
        if record.raised_to > before.raised_to:
            self._report(Notice(f"up to {self._limits().jobs} runs at a time now"))
            dispatcher.wake()
        if record.wanted_at > before.wanted_at:
            dispatcher.idle_since = None
        if record.leaving is before.leaving:
            return
        if not dispatcher.is_draining:
            self._report(Notice("told to leave: nothing more is started"))
            dispatcher.drain()
        if record.leaving is Leaving.AT_ONCE:
            dispatcher.stop_runs(STOPPED)


def new_record(
    lock: ServerLock, limits: Limits, clock: Clock, queues: tuple[str, ...] | None, log: str | None
) -> Server:
    """Return what others are to know of a server that begins now.

    Args:
        lock: the sign that this process serves the folder.
        queues: the only queues it serves; None: all.
        log: where what it reports is written; None: where it was started.
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
