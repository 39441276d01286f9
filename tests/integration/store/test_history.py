"""Forgetting runs, and giving back the room that they took."""

import contextlib
import os
import sqlite3

import pytest

from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.store import database, vacuum
from aqueue.store.history import forget
from aqueue.store.store import Store
from tests.integration.recording import NOW, Book

LONG_AGO = NOW + 2
MANY = 1200


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def many_over(connection: sqlite3.Connection, book: Book, count: int = MANY) -> None:
    """Have so many runs that are over, each of which takes room."""
    book.in_state(State.SUCCEEDED)
    rest = "queue, priority, state, trigger, task, created_at, started_at, finished_at, attempt"
    connection.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
        f" INSERT INTO runs (name, run_id, {rest}) SELECT hex(randomblob(400)), i, {rest} FROM runs, n"
    )


def size(folder: Folder) -> int:
    return folder.database.stat().st_size


def settle(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def test_many_runs_are_forgotten_in_transactions_of_a_few(
    folder: Folder, connection: sqlite3.Connection, book: Book
) -> None:
    many_over(connection, book)
    stays = [book.in_state(State.QUEUED), book.in_state(State.HELD)]
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert forget(connection, folder, LONG_AGO) == MANY
    connection.set_trace_callback(None)
    assert [run.id for run in book.store.runs.select()] == [run.id for run in stays]
    assert statements.count("COMMIT") > MANY / 500
    assert forget(connection, folder, LONG_AGO) == 0


def test_files_go_with_their_runs_and_so_do_those_that_an_interrupted_prune_has_left(
    folder: Folder, connection: sqlite3.Connection, book: Book
) -> None:
    over, waits = book.in_state(State.FAILED), book.in_state(State.HELD)
    for name in (str(over.id), str(waits.id), "77.pruned"):
        (folder.runs / name / "deep").mkdir(parents=True)
        (folder.runs / name / "deep" / "file").touch()
    forget(connection, folder, LONG_AGO)
    assert os.listdir(folder.runs) == [str(waits.id)]


def test_a_run_that_was_retried_since_it_was_found_is_not_forgotten(book: Book) -> None:
    old, again = book.in_state(State.FAILED), book.in_state(State.FAILED)
    ids = book.store.runs.ended_before(LONG_AGO, 10)
    book.store.lifecycle.retry([again])
    assert book.store.runs.forget_ended(ids, LONG_AGO, lambda _: False) == [old.id]
    assert [run.id for run in book.store.runs.select()] == [again.id]


def test_a_run_that_is_over_again_since_it_was_found_is_as_young_as_that(
    book: Book, connection: sqlite3.Connection
) -> None:
    run = book.in_state(State.FAILED)
    ids = book.store.runs.ended_before(LONG_AGO, 10)
    connection.execute("UPDATE runs SET finished_at = ?", (LONG_AGO + 1,))
    assert book.store.runs.forget_ended(ids, LONG_AGO, lambda _: False) == []
    assert book.get(run)


def test_a_run_whose_file_was_not_yet_moved_to_it_stays(
    folder: Folder, connection: sqlite3.Connection, book: Book
) -> None:
    runs: list[Run] = [book.in_state(State.SUCCEEDED) for _ in range(2)]
    connection.execute("UPDATE runs SET source = 'x-1.yaml:1' WHERE id = ?", (runs[0].id,))
    (folder.incoming / "x-1.yaml").touch()
    assert forget(connection, folder, LONG_AGO) == 1
    (folder.incoming / "x-1.yaml").unlink()
    assert forget(connection, folder, LONG_AGO) == 1


def test_a_file_becomes_as_small_as_what_stays_while_others_have_it_open(
    folder: Folder, connection: sqlite3.Connection, book: Book
) -> None:
    settle(connection)
    before = size(folder)
    many_over(connection, book)
    stays = book.in_state(State.HELD)
    with contextlib.closing(database.connect(folder)) as another:
        settle(connection)
        assert size(folder) > before + 1_000_000
        forget(connection, folder, LONG_AGO)
        assert vacuum.give_back(connection, folder, 0.0) == 0
        assert size(folder) < before + 100_000
        assert Store(another).runs.get(stays.id) is not None


@pytest.fixture
def older(folder: Folder) -> sqlite3.Connection:
    """A database that was made when none could be made smaller in slices."""
    with contextlib.closing(sqlite3.connect(folder.database)) as made:
        made.execute("PRAGMA journal_mode = WAL")
    return database.connect(folder)


def test_an_older_file_is_written_anew_and_whoever_has_it_open_goes_on(
    folder: Folder, older: sqlite3.Connection
) -> None:
    with contextlib.closing(older), contextlib.closing(database.connect(folder)) as another:
        many_over(older, Book(older))
        settle(older)
        large = size(folder)
        assert Store(another).runs.count() == forget(older, folder, LONG_AGO) == MANY
        assert vacuum.give_back(older, folder, 60.0) == 0
        assert size(folder) < large / 5
        many_over(another, Book(another))
        assert forget(another, folder, LONG_AGO) == MANY
        settle(another)
        assert size(folder) > large / 2
        assert vacuum.give_back(another, folder, 0.0) == 0
        assert size(folder) < large / 5
        assert older.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert Book(older).add().id == 2 * MANY + 1


def test_an_older_file_that_takes_too_long_to_be_written_anew_stays_as_it_is(
    folder: Folder, older: sqlite3.Connection
) -> None:
    with contextlib.closing(older):
        many_over(older, Book(older), 4 * MANY)
        older.execute("DELETE FROM runs WHERE id <= ?", (MANY,))
        assert vacuum.give_back(older, folder, -1.0) > 1_000_000
        assert Store(older).runs.count() == 3 * MANY
        assert vacuum.give_back(older, folder, 60.0) == 0
        assert Store(older).runs.count() == 3 * MANY
