"""Shrinking of the database file without blocking writers for long."""

import contextlib
import sqlite3
import time
from typing import Final

from aqueue.errors import BusyError, DiskFullError
from aqueue.folder.layout import Folder
from aqueue.store.database import explained, transaction

_PAGES: Final = 250
"""The number of pages released in one transaction: a few milliseconds."""

_TRIES: Final = 10
_PAUSE: Final = 0.02

_INCREMENTAL: Final = 2
"""The value of `PRAGMA auto_vacuum` for a file that can shrink in slices."""


def give_back(connection: sqlite3.Connection, folder: Folder, seconds: float) -> int:
    """Shrink the database file by its free pages.

    A file that cannot shrink in slices is rewritten once, if there is time and space.

    Args:
        seconds: roughly how long writers may be blocked.

    Returns:
        the number of bytes that are still free in the file.
    """
    # Do not fail on a full disk or a busy writer: free pages are reused later.
    with contextlib.suppress(DiskFullError, BusyError):
        if _ask(connection, "auto_vacuum") == _INCREMENTAL:
            _give_back_in_slices(connection, folder)
        elif _ask(connection, "freelist_count"):
            _write_anew(connection, folder, seconds)
        _bring_into_the_file(connection)
    return _ask(connection, "freelist_count") * _ask(connection, "page_size")


def _give_back_in_slices(connection: sqlite3.Connection, folder: Folder) -> None:
    left = _ask(connection, "freelist_count")
    before = left + 1
    while 0 < left < before:
        began = time.monotonic()
        with transaction(connection, folder):
            # Fetching each (empty) row frees one page.
            connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        # Give processes that wait for the lock time to try again.
        time.sleep(time.monotonic() - began)
        before, left = left, _ask(connection, "freelist_count")


def _write_anew(connection: sqlite3.Connection, folder: Folder, seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.set_progress_handler(lambda: time.monotonic() > give_up_at, 10_000)
    try:
        with explained(folder):
            connection.execute("VACUUM")
    finally:
        connection.set_progress_handler(None, 0)


def _bring_into_the_file(connection: sqlite3.Connection) -> None:
    """Copy the log into the file, which truncates it; retry while a reader or writer prevents that."""
    for _ in range(_TRIES):
        _, pages, brought = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if brought == pages:
            break
        time.sleep(_PAUSE)


def _ask(connection: sqlite3.Connection, pragma: str) -> int:
    (value,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
