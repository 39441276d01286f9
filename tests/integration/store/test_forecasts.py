"""The runs in line are read in the order of their turns, and never more than a few hundred."""

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aqueue.folder.layout import Folder
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import State
from aqueue.model.task import Priority
from aqueue.store.database import transaction
from tests.integration.recording import NOW, Book

COUNT = 100_000


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def multiply(connection: sqlite3.Connection, count: int, queue: str = "queue") -> None:
    """Have so many runs for each that there is."""
    rest = "priority, state, trigger, task, created_at, gpu_request, group_name"
    connection.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
        f" INSERT INTO runs (name, run_id, queue, {rest}) SELECT name || '-' || i, i, {queue}, {rest} FROM runs, n"
    )


def steps(connection: sqlite3.Connection, book: Book) -> int:
    """Return the thousands of steps of SQLite's machine that it takes to read all that a forecast needs."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 1000)
    book.store.forecasts.in_line()
    book.store.forecasts.successes()
    assert book.store.forecasts.states_of("crowd") is None
    connection.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("queue", ["queue", "name || '-' || i"])
def test_however_many_wait_only_a_few_are_read(connection: sqlite3.Connection, book: Book, queue: str) -> None:
    book.add("crowd", group="crowd")
    multiply(connection, COUNT, queue)
    assert steps(connection, book) < 1000
    found = [run.id for run in book.store.forecasts.in_line()]
    assert found == list(range(1, len(found) + 1))
    assert len(found) == 500


WAITING = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1, 2]), st.sampled_from(Priority)), max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(WAITING, st.integers(1, 8))
def test_those_read_are_the_first_of_all(
    folder: Folder, connection: sqlite3.Connection, waiting: list[tuple[str, int | None, Priority]], most: int
) -> None:
    book = Book(connection)
    with transaction(connection, folder):
        book.store.runs.forget(book.store.runs.ids())
        connection.execute("DELETE FROM runs")
        connection.execute("DELETE FROM heads")
        runs = [book.add("x", queue=queue, gpus=gpus, priority=first) for queue, gpus, first in waiting]
    order = [run.id for run in sorted(runs, key=lambda run: (run.priority, run.turn, run.id))]
    found = [run.id for run in book.store.forecasts.in_line(most)]
    assert found == order[:most]


def test_of_a_group_the_newest_of_each_name_counts(book: Book) -> None:
    for name in ("a", "b", "a"):
        book.add(name, group="g", run_id=f"{name}{book.store.runs.last_id()}")
    (run,) = book.claim()
    book.finish(run, code=1)
    assert book.store.forecasts.states_of("g") == {State.QUEUED: 2}
    assert book.store.forecasts.states_of("nothing") == {}


def test_the_last_successes_come_first(book: Book) -> None:
    for number, code in enumerate((0, 1, 0)):
        book.add(f"t{number}", group="g")
        (run,) = book.claim()
        end = Outcome(run=run, end=End.EXITED, at=NOW + 9 - number, exit_code=code)
        book.store.lifecycle.finish(end, "server")
    assert [one.name for one in book.store.forecasts.successes()] == ["t0", "t2"]
    assert {(one.group, one.queue) for one in book.store.forecasts.successes()} == {("g", "t0"), ("g", "t2")}
