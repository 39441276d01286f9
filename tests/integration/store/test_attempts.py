"""The rows of attempts, from their claims on."""

import sqlite3

import msgspec

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, Usage
from aqueue.store.attempts import Handle
from tests.integration.recording import NOW, Book


def claimed(connection: sqlite3.Connection) -> tuple[Book, Run]:
    book = Book(connection)
    book.add("train")
    (run,) = book.claim()
    return book, run


def rows(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    statement = "SELECT number, started_at, finished_at, exit_code, executor, handle FROM attempts ORDER BY number"
    return connection.execute(statement).fetchall()


def test_an_attempt_that_goes_on_has_one_row_and_is_shown_once(connection: sqlite3.Connection) -> None:
    book, run = claimed(connection)
    assert rows(connection) == [(1, NOW, None, None, "local", None)]
    (shown,) = book.store.runs.attempts(run)
    assert (shown.number, shown.started_at, shown.finished_at) == (1, NOW, None)


def test_its_end_is_recorded_in_its_row(connection: sqlite3.Connection) -> None:
    book, run = claimed(connection)
    book.store.attempts.record_handles([Handle("4711", run.id, 1)])
    book.finish(run, code=3)
    assert rows(connection) == [(1, NOW, NOW + 1.0, 3, "local", "4711")]
    (shown,) = book.store.runs.attempts(book.get(run))
    assert (shown.exit_code, shown.reason) == (3, "exit code 3")


def test_the_resources_that_it_used_are_recorded_with_its_end(connection: sqlite3.Connection) -> None:
    book, run = claimed(connection)
    usage = Usage(
        cpu_seconds=1.5, peak_memory=1 << 40, oom_kills=2, oom_kills_in_group=0, python="/usr/bin/python"
    )
    outcome = Outcome(run=run, end=End.EXITED, exit_code=1, at=NOW + 1.0, usage=usage)
    book.store.lifecycle.finish(outcome, "server")
    (shown,) = book.store.runs.attempts(book.get(run))
    assert {name: getattr(shown, name) for name in Usage.__struct_fields__} == msgspec.structs.asdict(usage)


def test_one_that_never_started_is_forgotten(connection: sqlite3.Connection) -> None:
    book, run = claimed(connection)
    book.finish(run, End.NEVER_STARTED, code=None)
    assert rows(connection) == []
    assert book.store.runs.attempts(book.get(run)) == []


def test_the_end_that_another_server_recorded_stays(connection: sqlite3.Connection) -> None:
    book, run = claimed(connection)
    assert book.finish(run, code=3, server="another") is None
    assert rows(connection) == [(1, NOW, None, None, "local", None)]


def test_an_attempt_has_its_executor_at_once_and_its_handle_once_it_is_noted(
    connection: sqlite3.Connection,
) -> None:
    book, run = claimed(connection)
    assert book.store.attempts.executor(run) == "local"
    assert book.store.attempts.handle(run) is None
    book.store.attempts.record_handles([Handle("4711", run.id, 1), Handle("4712", run.id, 2)])
    assert book.store.attempts.handle(run) == "4711"


def test_the_start_of_one_that_goes_on_moves_with_the_clock(connection: sqlite3.Connection) -> None:
    book, run = claimed(connection)
    book.store.servers.follow_set_clock("boot", 1000.0)
    book.store.servers.follow_set_clock("boot", 4600.0)
    assert rows(connection)[0][1] == NOW + 3600.0 == book.get(run).started_at
