"""The database file: made, migrated, refused, never replaced, and never half written."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aqueue.errors import DatabaseError
from aqueue.folder.layout import Folder
from aqueue.store import database as db
from aqueue.store.database import connect, make_durable, snapshot, transaction
from aqueue.store.migrations import MIGRATIONS
from aqueue.store.server_database import Database
from tests.integration.conftest import as_user


@pytest.fixture
def used(folder: Folder) -> Folder:
    """A folder that has had runs."""
    with_rows(folder)
    folder.make_run_dir(1)
    return folder


def with_rows(folder: Folder) -> None:
    connection = connect(folder)
    with transaction(connection, folder):
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [("x" * 2000,)] * 50)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def texts(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


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


def corrupt(database: Path) -> None:
    database.write_bytes(b"no database at all\n" * 500)


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


async def test_a_damaged_database_is_refused_by_the_server_too(used: Folder) -> None:
    corrupt(used.database)
    threads = threading.active_count()
    with pytest.raises(DatabaseError, match="cannot be read"):
        await Database.open(used)
    # One that is left would talk to an event loop that is gone, and print a traceback.
    assert threading.active_count() == threads


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


@pytest.fixture
async def notes(used: Folder) -> AsyncIterator[Database]:
    database = await Database.open(used)
    await database.write(lambda connection: connection.execute("DELETE FROM notes").rowcount)
    yield database
    await database.close()


def note(text: str) -> db.Work[None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))

    return work


async def test_works_are_done_in_the_order_in_which_they_were_given(notes: Database) -> None:
    await asyncio.gather(*(notes.write(note(str(number))) for number in range(50)))
    assert await notes.write(texts) == [str(number) for number in range(50)]


async def test_a_work_that_fails_undoes_nothing_but_itself(notes: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ZeroDivisionError

    results = await asyncio.gather(
        notes.write(note("first")), notes.write(half), notes.write(note("last")), return_exceptions=True
    )
    assert isinstance(results[1], ZeroDivisionError)
    assert await notes.write(texts) == ["first", "last"]


@pytest.mark.parametrize("moment", ["before it is asked for", "after it is asked for", "within"])
async def test_a_cancelled_work_is_done_whole_or_not_at_all(notes: Database, moment: str) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def two_notes(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('first')")
        begun.set()
        may_go_on.wait(10.0)
        connection.execute("INSERT INTO notes VALUES ('second')")

    writing = asyncio.create_task(notes.write(two_notes))
    if moment == "after it is asked for":
        await asyncio.sleep(0)
    elif moment == "within":
        assert await asyncio.to_thread(begun.wait, 10.0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    may_go_on.set()
    assert await notes.write(texts) in ([], ["first", "second"])
    await notes.write(note("third"))
    assert (await notes.write(texts))[-1] == "third"


async def test_a_small_work_is_done_where_it_is_asked_for(notes: Database) -> None:
    assert await notes.write(lambda _: threading.get_ident(), is_small=True) == threading.get_ident()
    assert await notes.write(lambda _: threading.get_ident()) != threading.get_ident()


async def test_a_small_work_that_fails_undoes_nothing_but_itself(notes: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ZeroDivisionError

    await notes.write(note("first"), is_small=True)
    with pytest.raises(ZeroDivisionError):
        await notes.write(half, is_small=True)
    await notes.write(note("last"), is_small=True)
    assert await notes.write(texts) == ["first", "last"]


async def test_a_small_work_keeps_nobody_waiting_while_others_write(notes: Database, used: Folder) -> None:
    other = connect(used)
    with transaction(other, used):
        writing = asyncio.create_task(notes.write(note("hello"), is_small=True))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not writing.done()
    await writing
    other.close()
    assert await notes.write(texts) == ["hello"]


async def test_what_takes_long_after_all_is_done_by_the_thread_once(notes: Database) -> None:
    threads: list[int] = []
    count = (
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000) SELECT max(x) FROM c"
    )

    def long(connection: sqlite3.Connection) -> int:
        threads.append(threading.get_ident())
        connection.execute("INSERT INTO notes VALUES ('long')")
        return int(connection.execute(count).fetchone()[0])

    here = threading.get_ident()
    assert await notes.write(long, is_small=True) == 2_000_000
    assert [thread == here for thread in threads] == [True, False]
    # As it is likely to be like that again.
    assert await notes.write(lambda _: threading.get_ident(), is_small=True) != here
    assert await notes.write(lambda _: threading.get_ident(), is_small=True) == here
    assert await notes.write(texts) == ["long"]


async def test_the_event_loop_does_not_wait_for_the_disk_after_small_works(notes: Database, used: Folder) -> None:
    before = used.database.stat().st_size
    # As much as takes many small works, at once.
    insert = "INSERT INTO notes VALUES (zeroblob(42000000))"
    await notes.write(lambda connection: connection.execute(insert).rowcount, is_small=True)
    assert used.database.stat().st_size == before
    await notes.write(note("last"), is_small=True)
    assert used.database.stat().st_size > before + 40_000_000


async def test_what_was_written_is_there_for_others_at_once(notes: Database, used: Folder) -> None:
    await notes.write(note("hello"))
    connection = connect(used)
    assert texts(connection) == ["hello"]
    connection.close()


async def test_to_read_waits_for_nobody_who_writes(notes: Database, used: Folder) -> None:
    await notes.write(note("hello"))
    other = connect(used)
    with transaction(other, used):
        other.execute("DELETE FROM notes")
        assert await asyncio.wait_for(notes.read(texts), 5.0) == ["hello"]
    other.close()
    assert await notes.read(texts) == []


async def test_what_is_read_has_all_that_was_written_before(notes: Database) -> None:
    writing = [asyncio.ensure_future(notes.write(note(str(number)))) for number in range(20)]
    reading = asyncio.ensure_future(notes.read(texts))
    assert await reading == [str(number) for number in range(20)]
    await asyncio.gather(*writing)


async def test_a_closed_database_leaves_no_thread_behind(used: Folder) -> None:
    threads = threading.active_count()
    database = await Database.open(used)
    await database.write(note("hello"))
    await database.close()
    assert threading.active_count() == threads


def test_a_database_that_somebody_keeps_locked_is_explained(used: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 0.05)
    greedy, patient = connect(used), connect(used)
    with (
        transaction(greedy, used),
        pytest.raises(DatabaseError, match="locked") as caught,
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
