"""A database with a table of notes in it, which nothing but tests knows of."""

import sqlite3
from pathlib import Path

from aqueue.folder.layout import Folder
from aqueue.store.database import connect, transaction


def with_rows(folder: Folder) -> None:
    connection = connect(folder)
    with transaction(connection, folder):
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [("x" * 2000,)] * 50)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def texts(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


def corrupt(database: Path) -> None:
    database.write_bytes(b"no database at all\n" * 500)
