"""The server's database: transactions that do not block the event loop for long.

Work is a function of a `sqlite3.Connection`; it runs in one transaction, without awaiting, so that no cancelled
task leaves a transaction open. Work runs in aiosqlite's thread, which may wait for other processes and for the
disk. Small work takes less time than the hand-over to that thread, so it runs in the event loop, unless another
process is writing, the work takes too long, or the log must first be copied into the database file.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self, TypeVar

from aqueue.errors import BusyError, DatabaseError
from aqueue.folder.layout import Folder
from aqueue.store.database import LOG_PAGES, connect, snapshot, transaction
from aqueue.store.work import Work
from aqueue.threads import NoThreadError

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")

_SMALL_SECONDS: Final = 0.02
"""The seconds for which a transaction may block the event loop."""


class _Script(str):
    """Work disguised as a script, because aiosqlite passes a script unchanged to its thread."""

    __slots__ = ("do",)

    def __new__(cls, do: Callable[[], None]) -> Self:
        """Return a script that calls `do` when executed."""
        script = super().__new__(cls)
        script.do = do
        return script

    do: Callable[[], None]


class _Connection(sqlite3.Connection):
    """A connection that can execute work: aiosqlite accepts statements and scripts, but no functions."""

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Execute work, or an ordinary script."""
        if not isinstance(sql_script, _Script):
            return super().executescript(sql_script)
        sql_script.do()
        return self.cursor()


class Database:
    """The server's connections, for its event loop.

    Args:
        thread: aiosqlite's connection, for work that may take long; its one thread keeps the order.
        connection: the same as a `sqlite3.Connection`.
        here: the event loop's connection, which waits neither for other processes nor for the disk.
    """

    def __init__(
        self,
        thread: "aiosqlite.Connection",
        connection: sqlite3.Connection,
        here: sqlite3.Connection,
        folder: Folder,
    ) -> None:
        self._thread = thread
        self._connection = connection
        self._here = here
        self._folder = folder
        self._inode = folder.database.stat().st_ino
        self._log = f"{folder.database}-wal"
        self._longest_log: int = LOG_PAGES * here.execute("PRAGMA page_size").fetchone()[0]
        self._give_up_at = 0.0
        self._takes_long = False
        here.set_progress_handler(self._has_to_give_up, 10_000)

    @classmethod
    async def open(cls, folder: Folder) -> Self:
        """Open the database of `folder`.

        Raises:
            NoThreadError: no thread can be started.
            others: as `connect`.
        """
        import aiosqlite

        # Opened before aiosqlite gets it: its thread would outlive an error.
        opened = connect(folder, check_same_thread=False, factory=_Connection)
        try:
            here = connect(folder)
        except BaseException:
            opened.close()
            raise
        # Only the thread may wait: for the writes of other processes, and for the disk when the log is copied
        # into the database file.
        here.execute("PRAGMA busy_timeout = 0")
        here.execute("PRAGMA wal_autocheckpoint = 0")
        thread = aiosqlite.connect(folder.database, factory=lambda *_, **__: opened)
        try:
            return cls(await thread, opened, here, folder)
        except RuntimeError as error:
            opened.close()
            here.close()
            raise NoThreadError from error

    async def write(self, work: Work[T], *, is_small: bool = False) -> T:
        """Do `work` in one transaction.

        Even if the caller is cancelled meanwhile, the work is committed completely or not at all.

        Args:
            is_small: whether the work likely takes at most a few milliseconds; then it may run in the event loop.
                If it takes longer, it is rolled back and repeated in the thread.

        Raises:
            DatabaseError, DiskFullError: the work could not be committed.
        """
        if is_small and not self._takes_long and self._log_is_short():
            self._give_up_at = time.monotonic() + _SMALL_SECONDS
            with contextlib.suppress(BusyError):
                return self._transact(self._here, work)
        return await self._in_thread(lambda: self._transact(self._connection, work))

    async def read(self, work: Work[T]) -> T:
        """Do reading `work` on a consistent snapshot of the database, without blocking writers.

        Raises:
            DatabaseError: it cannot be read.
        """

        def read() -> T:
            with snapshot(self._connection, self._folder):
                return work(self._connection)

        return await self._in_thread(read)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        done: list[T] = []
        await self._thread.executescript(_Script(lambda: done.append(do())))
        return done[0]

    def _transact(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        with transaction(connection, self._folder):
            began = time.monotonic()
            try:
                return work(connection)
            finally:
                self._takes_long = time.monotonic() - began > _SMALL_SECONDS

    def _log_is_short(self) -> bool:
        """Return True if the log is too short to be copied, which would wait for the disk."""
        try:
            size: int = os.stat(self._log).st_size  # noqa: PTH116 - Path.stat() is slower, and every run needs this
        except FileNotFoundError:
            return False
        return size < self._longest_log

    def _has_to_give_up(self) -> bool:
        return time.monotonic() > self._give_up_at

    def check(self) -> None:
        """Check that the open file is still the one at its path.

        Raises:
            DatabaseError: the file was removed or replaced.
        """
        try:
            same = self._folder.database.stat().st_ino == self._inode
        except FileNotFoundError:
            same = False
        # A symlink in the path of the folder may have changed.
        same = same and Folder(self._folder.path).state == self._folder.state
        if not same:
            raise DatabaseError(
                f"{self._folder.database} was removed or replaced while it was in use",
                "put it back and restart the server; runs go on",
            )

    async def close(self) -> None:
        """Close the connections and end the thread."""
        self._here.close()
        await self._thread.close()
