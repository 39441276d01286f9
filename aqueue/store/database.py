"""The database file: how it is opened, and how it is written without being half done.

A piece of work is a function of a `sqlite3.Connection`; it runs inside one transaction, in one go. So there is no
moment at which a cancelled task could leave a transaction open. It runs in aiosqlite's thread, which can wait for
other processes, and for the disk. A small one does not wait for anything, and is done sooner than the way there
and back takes: so that is done right where it is asked for, unless somebody else is writing just then, it takes
long after all, or the log is to be brought into the database file first.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Self, TypeVar

from aqueue.errors import DISK_FULL, BusyError, DatabaseError, DiskFullError, advice
from aqueue.folder.layout import Folder
from aqueue.store.migrations import MIGRATIONS
from aqueue.threads import NoThreadError

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY_SECONDS: Final = 10.0
"""How long a transaction waits for another process to finish its own."""

_SMALL_SECONDS: Final = 0.02
"""For how long a transaction may keep the event loop."""

_LOG_PAGES: Final = 10_000
"""Of how many pages the write-ahead log is at least when it is brought into the database file."""

_FULL = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_FSYNC,
}
_UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(
    folder: Folder, *, check_same_thread: bool = True, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Open the database of `folder`; make it if the folder is new.

    Args:
        check_same_thread: refuse to be used by another thread than this.
        factory: the class of the connection.

    Raises:
        DatabaseError: it cannot be opened or is not one of ours. A folder that has had runs never gets a
            new database in place of one that is gone.
        DiskFullError: there is no room to make it.
    """
    is_new = not _has_content(folder)
    if is_new and folder.runs.is_dir() and any(folder.runs.iterdir()):
        raise DatabaseError(
            f"{folder.database} is gone or empty, but there have been runs here",
            f"put a copy of it back; or, to start afresh and forget those runs, move {folder.state} away",
        )
    connection = None
    try:
        with explained(folder):
            folder.database.touch(mode=0o600)
            connection = sqlite3.connect(
                folder.database,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=check_same_thread,
                factory=factory,
            )
            if is_new:
                # It cannot be had any more once anything is in the file, and the log's mark is the first thing.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _use_log(connection)
            for pragma in (
                "synchronous = NORMAL",
                "foreign_keys = ON",
                "journal_size_limit = 16777216",
                f"wal_autocheckpoint = {_LOG_PAGES}",
            ):
                connection.execute(f"PRAGMA {pragma}")
            _migrate(connection, folder)
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, folder: Folder) -> Iterator[sqlite3.Connection]:
    """Do all that is inside in one transaction, or nothing of it.

    Raises:
        DatabaseError, DiskFullError: it could not be done.
    """
    with explained(folder):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # After a full disk SQLite may have rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection, folder: Folder) -> Iterator[sqlite3.Connection]:
    """Read all that is read inside as it was at one moment, without keeping anybody from writing.

    Raises:
        DatabaseError: it cannot be read.
    """
    with explained(folder):
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


class _Script(str):
    """A piece of work in the form of a script: aiosqlite hands a script to its thread as it is."""

    __slots__ = ("do",)

    def __new__(cls, do: Callable[[], None]) -> Self:
        """Make a script that does `do` when it is executed."""
        script = super().__new__(cls)
        script.do = do
        return script

    do: Callable[[], None]


class _Connection(sqlite3.Connection):
    """A connection that can execute a piece of work: aiosqlite takes statements and scripts, but no functions."""

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Do a piece of work, or what any connection does with a script."""
        if not isinstance(sql_script, _Script):
            return super().executescript(sql_script)
        sql_script.do()
        return self.cursor()


class Database:
    """The server's connections, for its event loop.

    Args:
        thread: aiosqlite's, which does what may take long; one thread, so all of it is done in order.
        connection: the one that the thread has.
        here: in the thread of the event loop; it neither waits for others nor for the disk.
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
        self._longest_log: int = _LOG_PAGES * here.execute("PRAGMA page_size").fetchone()[0]
        self._give_up_at = 0.0
        self._takes_long = False
        here.set_progress_handler(self._has_to_give_up, 10_000)

    @classmethod
    async def open(cls, folder: Folder) -> Self:
        """Open the database of `folder`.

        Raises:
            NoThreadError: there is no thread to be had for it.
            others: as `connect`.
        """
        import aiosqlite

        # Opened before aiosqlite gets it, whose thread would outlive an error in there.
        opened = connect(folder, check_same_thread=False, factory=_Connection)
        try:
            here = connect(folder)
        except BaseException:
            opened.close()
            raise
        # Whoever writes just then is left to the thread, and so is what has to wait for the disk: to bring what
        # was committed from the log into the database file.
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

        If the caller is cancelled meanwhile, the work is still done whole or not at all.

        Args:
            is_small: whether it most likely takes a few milliseconds at most; then it keeps the event loop for so
                long. If that was wrong it may be done a second time, after all that it did was undone.

        Raises:
            DatabaseError, DiskFullError: it could not be done.
        """
        if is_small and not self._takes_long and self._log_is_short():
            self._give_up_at = time.monotonic() + _SMALL_SECONDS
            with contextlib.suppress(BusyError):
                return self._transact(self._here, work)
        return await self._in_thread(lambda: self._transact(self._connection, work))

    async def read(self, work: Work[T]) -> T:
        """Do `work`, which only reads, on the database as it is at one moment; nobody is kept from writing.

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
        """Whether there is no need to wait for the disk: the log is cut back once all of it is in the file."""
        try:
            size: int = os.stat(self._log).st_size  # noqa: PTH116 - for each run
        except FileNotFoundError:
            return False
        return size < self._longest_log

    def _has_to_give_up(self) -> bool:
        return time.monotonic() > self._give_up_at

    def check(self) -> None:
        """Make sure that what is written is still what others read.

        Raises:
            DatabaseError: the file was removed, or another put in its place.
        """
        try:
            same = self._folder.database.stat().st_ino == self._inode
        except FileNotFoundError:
            same = False
        # A link on the way to the folder may lead elsewhere now.
        same = same and Folder(self._folder.path).state == self._folder.state
        if not same:
            raise DatabaseError(
                f"{self._folder.database} was removed or replaced while it was in use",
                "put it back and serve again; what runs goes on",
            )

    async def close(self) -> None:
        """Close the connections and end the thread."""
        self._here.close()
        await self._thread.close()


def make_durable(folder: Folder) -> None:
    """Put all that was committed on the disk, so that it outlives a power cut.

    A commit itself does not wait for the disk: it outlives the death of any process, but perhaps not of the
    machine.
    """
    try:
        descriptor = os.open(f"{folder.database}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has_content(folder: Folder) -> bool:
    try:
        return folder.database.stat().st_size > 0
    except FileNotFoundError:
        return False


def _use_log(connection: sqlite3.Connection) -> None:
    """Have changes go into a write-ahead log first.

    When several open a database that is new, or that the last has just left, SQLite refuses this to some of them
    without waiting for the others.
    """
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return


def _migrate(connection: sqlite3.Connection, folder: Folder) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise DatabaseError(
            f"{folder.database} was written by a newer aqueue", "upgrade: pip install --upgrade aqueue"
        )
    if version == len(MIGRATIONS):
        return
    with transaction(connection, folder):
        # Another process may have done it while this one waited for the lock.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number in range(version, len(MIGRATIONS)):
            for statement in _statements(MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; triggers have semicolons in them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def explained(folder: Folder) -> Iterator[None]:
    """Raise what SQLite complains of in words for people.

    Raises:
        DatabaseError, DiskFullError: it could not be done.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(folder) from error
        raise DatabaseError(
            f"{folder.database} cannot be used: {error.strerror}",
            advice(error, "look at its permissions and at the disk"),
        ) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _FULL:
            raise _disk_full(folder) from error
        if code & 0xFF in _UNREADABLE:
            raise DatabaseError(
                f"{folder.database} cannot be read: {error}",
                f"put a copy of it back; or, to start afresh and forget its runs, move {folder.state} away",
            ) from error
        # It is interrupted when it takes longer than the event loop can be kept.
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT):
            raise BusyError(
                f"another process has kept {folder.database} locked for {BUSY_SECONDS:.0f} s",
                "see who has it open: fuser -v " + str(folder.database),
            ) from error
        if isinstance(error, sqlite3.OperationalError):
            raise DatabaseError(
                f"{folder.database} cannot be used: {error}", "look at its permissions and at the disk"
            ) from error
        raise


def _disk_full(folder: Folder) -> DiskFullError:
    return DiskFullError(
        f"the disk that holds {folder.state} is full", "make room; nothing that was queued is lost"
    )
