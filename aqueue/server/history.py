"""The history, which a server keeps as short as configured: it removes old runs and logs once a day."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

from aqueue.clock import Clock
from aqueue.errors import BusyError, DiskFullError
from aqueue.folder import server_logs
from aqueue.folder.layout import Folder
from aqueue.model.events import Notice, Report
from aqueue.store import database, history, vacuum
from aqueue.store.store import Store
from aqueue.threads import in_thread
from aqueue.units import counted, spell

_FIRST_SECONDS: Final = 5.0
"""Seconds from the start of a server to its first look at whether a day has passed: first come the runs."""

_CHECK_SECONDS: Final = 3600.0
"""Seconds between two looks."""

_BLOCKED_SECONDS: Final = 0.05
"""Seconds, about, that others may have to wait for the database once."""


class History:
    """The removal of old runs and logs, by one of the servers of a folder.

    Args:
        keep: returns for how many seconds runs are kept.
    """

    def __init__(self, folder: Folder, keep: Callable[[], float], clock: Clock, report: Report) -> None:
        self._folder = folder
        self._keep = keep
        self._clock = clock
        self._report = report
        self.interval = _FIRST_SECONDS
        """Seconds until the next look."""

    async def shorten(self) -> None:
        """Remove old runs and logs, unless that was done within the last day."""
        self.interval = _CHECK_SECONDS
        stopped = threading.Event()
        keep, now = self._keep(), self._clock.now()
        try:
            # It ends after the runs that it is about to remove, and so does not keep the server from exiting.
            removed = await in_thread(lambda: self._shorten(now, keep, stopped), abandon_on_cancel=True)
        except (DiskFullError, BusyError):
            return
        finally:
            stopped.set()
        if removed:
            self._report(Notice(f"{counted(removed, 'run')} deleted that ended more than {spell(keep)} ago"))

    def _shorten(self, now: float, keep: float, stopped: threading.Event) -> int:
        folder = self._folder
        with closing(database.connect(folder)) as connection:
            if not history.take_daily_turn(connection, folder, now):
                return 0
            server_logs.remove_old(folder, _logs_in_use(connection, folder), before=now - keep)
            removed = history.forget(connection, folder, now - keep, is_stopped=stopped.is_set)
            if removed and not stopped.is_set():
                vacuum.give_back(connection, folder, _BLOCKED_SECONDS)
        if removed:
            folder.notify_clients()
        return removed


def _logs_in_use(connection: sqlite3.Connection, folder: Folder) -> set[str]:
    with database.snapshot(connection, folder):
        return {server.log for server in Store(connection).servers.all() if server.log}
