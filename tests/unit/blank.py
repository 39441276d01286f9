"""A database in memory with the real schema and nothing in it, fast enough to have one for every example."""

import functools
import sqlite3
import tempfile
from pathlib import Path

from aqueue.folder.layout import Folder
from aqueue.store.database import connect


def blank_database() -> sqlite3.Connection:
    """A new one; close it after use."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _original().backup(connection)
    return connection


@functools.cache
def _original() -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:")
    with tempfile.TemporaryDirectory(prefix="aqueue-test-") as directory:
        folder = Folder(Path(directory))
        folder.create()
        made = connect(folder)
        made.backup(copy)
        made.close()
    return copy
