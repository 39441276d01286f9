"""The database file: made, migrated, refused, never replaced, and never half written."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.errors import DatabaseError
from aqueue.folder.layout import Folder
from aqueue.store import database as db
from aqueue.store.database import connect, make_durable, snapshot, transaction
from aqueue.store.migrations import MIGRATIONS
from tests.integration.conftest import as_user
from tests.integration.noting import corrupt, texts, with_rows


def test_a_new_database_is_brought_to_the_newest_version(folder: Folder) -> None:
    connection = connect(folder)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"runs", "attempts", "servers"} <= tables
    connection.close()


def test_a_database_is_opened_again_as_it_was(used: Folder) -> None:
    connection = connect(used)
    assert len(texts(connection)) == 50
    connection.close()


@pytest.mark.parametrize("_again", range(10))
def test_a_database_is_made_once_when_several_open_it_at_once(folder: Folder, _again: int) -> None:
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            connect(folder).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_the_database_and_its_companions_are_for_their_owner_alone(folder: Folder) -> None:
    before = os.umask(0)
    try:
        connection = connect(folder)
    finally:
        os.umask(before)
    with transaction(connection, folder):
        connection.execute("CREATE TABLE notes (text TEXT)")
    companions = list(folder.state.glob("state.db*"))
    assert len(companions) == 3
    assert {path.stat().st_mode & 0o777 for path in companions} == {0o600}
    connection.close()


def test_a_database_of_a_newer_version_is_refused(used: Folder) -> None:
    connection = sqlite3.connect(used.database)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    assert "newer" in refusal(used).message


# A trigger has semicolons inside and is one statement all the same.
NEXT = """
ALTER TABLE notes ADD COLUMN length INTEGER NOT NULL DEFAULT 0;
UPDATE notes SET length = length(text);
CREATE TRIGGER note_comes AFTER INSERT ON notes
BEGIN
    UPDATE notes SET length = length(NEW.text) WHERE rowid = NEW.rowid;
    DELETE FROM notes WHERE length = 0;
END;
"""


def test_an_older_database_is_brought_to_the_newest_version_with_all_that_is_in_it(used: Folder) -> None:
    newer = (*MIGRATIONS, NEXT, "CREATE TABLE empty (text TEXT);")
    for _ in range(2):
        connection = sqlite3.connect(used.database, isolation_level=None)
        db.migrate(connection, used, newer)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)
        connection.close()
    connection = sqlite3.connect(used.database)
    assert connection.execute("SELECT count(*), sum(length) FROM notes").fetchone() == (50, 50 * 2000)
    connection.execute("INSERT INTO notes (text) VALUES ('four')")
    assert connection.execute("SELECT length FROM notes ORDER BY rowid DESC").fetchone() == (4,)
    connection.close()
    assert "newer" in refusal(used).message


def test_a_migration_that_fails_leaves_the_database_as_it_was(used: Folder) -> None:
    connection = connect(used)
    with pytest.raises(DatabaseError, match="no such table: missing"):
        db.migrate(connection, used, (*MIGRATIONS, NEXT, "DROP TABLE missing;"))
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert len(texts(connection)) == 50
    connection.execute("INSERT INTO notes VALUES ('one column, as before')")
    connection.close()


def truncate_to_half(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


def truncate_to_header(database: Path) -> None:
    os.truncate(database, 100)


def empty(database: Path) -> None:
    os.truncate(database, 0)


def overwrite_schema(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


@pytest.mark.parametrize("damage", [corrupt, truncate_to_half, truncate_to_header, empty, overwrite_schema])
def test_a_damaged_database_is_refused_and_left_alone(used: Folder, damage: Callable[[Path], None]) -> None:
    damage(used.database)
    before = used.database.read_bytes()
    error = refusal(used)
    assert str(used.database) in error.message
    assert str(used.state) in error.hint
    assert used.database.read_bytes() == before


def test_a_missing_database_is_not_replaced_where_there_have_been_runs(used: Folder) -> None:
    used.database.unlink()
    assert str(used.database) in refusal(used).message
    assert not used.database.exists()


def test_a_directory_in_place_of_the_database_is_refused(folder: Folder) -> None:
    folder.database.mkdir()
    refusal(folder)


def test_a_folder_without_its_state_is_refused(tmp_path: Path) -> None:
    refusal(Folder(tmp_path))


@as_user
def test_a_database_that_may_not_be_read_is_refused(used: Folder) -> None:
    used.state.chmod(0o500)
    used.database.chmod(0o000)
    try:
        refusal(used)
    finally:
        used.state.chmod(0o700)


def refusal(folder: Folder) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        connect(folder).close()
    assert caught.value.hint
    return caught.value


def test_damage_that_is_met_later_is_explained(used: Folder) -> None:
    connection = connect(used)
    size = used.database.stat().st_size
    with used.database.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xff" * (size - 4096 * 20))
    with pytest.raises(DatabaseError, match="cannot be read"), snapshot(connection, used):
        texts(connection)
    connection.close()


def test_a_transaction_is_done_whole_or_not_at_all(used: Folder) -> None:
    connection = connect(used)
    with pytest.raises(ZeroDivisionError), transaction(connection, used):
        connection.execute("DELETE FROM notes")
        _ = 1 / 0
    assert len(texts(connection)) == 50
    assert not connection.in_transaction
    connection.close()


def test_a_snapshot_does_not_change_under_its_reader(used: Folder) -> None:
    reader, writer = connect(used), connect(used)
    with snapshot(reader, used):
        before = texts(reader)
        with transaction(writer, used):
            writer.execute("DELETE FROM notes")
        assert texts(reader) == before
    assert texts(reader) == []
    reader.close()
    writer.close()


def test_a_database_that_somebody_keeps_locked_is_explained(used: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 3.0)
    greedy, patient = connect(used), connect(used, patience=0.05)
    with (
        transaction(greedy, used),
        pytest.raises(DatabaseError, match="locked for 3 s") as caught,
        transaction(patient, used),
    ):
        pass
    assert caught.value.hint
    greedy.close()
    patient.close()


def test_what_was_committed_can_be_made_durable_at_any_time(folder: Folder) -> None:
    make_durable(folder)
    with_rows(folder)
    make_durable(folder)
    connection = connect(folder)
    with transaction(connection, folder):
        connection.execute("DELETE FROM notes")
    make_durable(folder)
    connection.close()
