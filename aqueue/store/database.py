"""The database file: opening, creating and migrating it, and its transactions."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence

from aqueue.errors import DISK_FULL, BusyError, DatabaseError, DiskFullError, advice
from aqueue.folder.layout import Folder, touch
from aqueue.store.migrations import MIGRATIONS

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

BUSY_SECONDS: "Final" = 10.0
"""The seconds a transaction waits for that of another process."""

LOG_PAGES: "Final" = 10_000
"""The number of pages at which the write-ahead log is copied into the database file."""

_FULL = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_FSYNC,
}
_UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(
    folder: Folder,
    *,
    check_same_thread: bool = True,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
    is_durable: bool = False,
    patience: float = BUSY_SECONDS,
) -> sqlite3.Connection:
    """Open the database of `folder`; create it if the folder is new.

    Args:
        check_same_thread: whether to refuse use by other threads.
        factory: the class of the connection.
        is_durable: have each commit wait for the disk, as a server's do not: a command that says it is done must
            mean it.
        patience: the seconds that it waits for other processes.

    Raises:
        DatabaseError: it cannot be opened, is no database of aqueue, or is missing although the folder has had
            runs.
        DiskFullError: there is no room to create it.
    """
    is_new = not _has_content(folder)
    if is_new and os.path.isdir(folder.runs_text) and os.listdir(folder.runs_text):
        raise DatabaseError(
            f"{folder.database} is missing or empty, but this folder has had runs",
            f"restore it from a copy; or, to start afresh without those runs, move {folder.state} away",
        )
    connection = None
    try:
        with explained(folder):
            touch(folder.database_text)
            connection = sqlite3.connect(
                folder.database_text,
                timeout=patience,
                isolation_level=None,
                check_same_thread=check_same_thread,
                factory=factory,
            )
            if is_new:
                # Possible only while the file is empty, so before the switch to the log.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _use_log(connection, patience)
            for pragma in (
                f"synchronous = {'FULL' if is_durable else 'NORMAL'}",
                "foreign_keys = ON",
                "journal_size_limit = 16777216",
                f"wal_autocheckpoint = {LOG_PAGES}",
            ):
                connection.execute(f"PRAGMA {pragma}")
            migrate(connection, folder)
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, folder: Folder) -> Iterator[sqlite3.Connection]:
    """Run the block in one transaction: everything in it is committed, or nothing.

    Raises:
        DatabaseError, DiskFullError: it was not committed.
    """
    with explained(folder):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # When the disk is full, SQLite may already have rolled back.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection, folder: Folder) -> Iterator[sqlite3.Connection]:
    """Run the block on a consistent snapshot of the database, without blocking writers.

    Raises:
        DatabaseError: it cannot be read.
    """
    with explained(folder):
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def make_durable(folder: Folder) -> None:
    """Flush all commits to the disk, so that they survive a power cut.

    A commit does not wait for the disk: it survives the death of any process, but not always that of the machine.
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
        return os.stat(folder.database_text).st_size > 0
    except FileNotFoundError:
        return False


def _use_log(connection: sqlite3.Connection, patience: float) -> None:
    """Switch the database to a write-ahead log.

    When several processes open a new or just closed database, SQLite refuses the switch to some of them without
    waiting.
    """
    give_up_at = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return


def migrate(connection: sqlite3.Connection, folder: Folder, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Migrate a database to the newest version, in one transaction.

    Args:
        migrations: the scripts from each version to the next.

    Raises:
        DatabaseError: its version is newer than the newest known.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise DatabaseError(
            f"{folder.database} was written by a newer version of aqueue", "upgrade: pip install --upgrade aqueue"
        )
    if version == len(migrations):
        return
    with transaction(connection, folder):
        # Another process may have migrated it while this one waited for the lock.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number in range(version, len(migrations)):
            for statement in _statements(migrations[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; triggers contain semicolons."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def explained(folder: Folder) -> Iterator[None]:
    """Turn errors of SQLite into errors a user can fix.

    Raises:
        DatabaseError, DiskFullError: in place of SQLite's own.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _disk_full(folder) from error
        raise DatabaseError(
            f"{folder.database} cannot be used: {error.strerror}",
            advice(error, "check its permissions and the disk"),
        ) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _FULL:
            raise _disk_full(folder) from error
        if code & 0xFF in _UNREADABLE:
            raise DatabaseError(
                f"{folder.database} cannot be read: {error}",
                f"restore it from a copy; or, to start afresh without its runs, move {folder.state} away",
            ) from error
        # The server interrupts a transaction that blocks its event loop too long.
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT):
            raise BusyError(
                f"another process has kept {folder.database} locked for {BUSY_SECONDS:.0f} s",
                f"find the process that has it open: fuser -v {folder.database}",
            ) from error
        if isinstance(error, sqlite3.OperationalError):
            raise DatabaseError(
                f"{folder.database} cannot be used: {error}", "check its permissions and the disk"
            ) from error
        raise


def _disk_full(folder: Folder) -> DiskFullError:
    return DiskFullError(f"the disk that holds {folder.state} is full", "free some space; no queued run is lost")
