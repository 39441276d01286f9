"""What people ask the store, and what it forgets."""

import sqlite3
from typing import Any

import pytest

from aqueue.models import ENDED, Priority, State
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def names(book: Book, **question: Any) -> list[str]:
    return [run.name for run in book.store.select(**question)]


def test_runs_are_selected_in_order_and_by_all_that_is_asked(book: Book) -> None:
    book.add("a", queue="q")
    book.add("b", queue="q", tags=("x",))
    book.add("c", tags=("x",))
    book.add("d", queue="q", tags=("x",), hold=True)
    assert names(book) == ["a", "b", "c", "d"]
    assert names(book, newest_first=True, limit=2) == ["d", "c"]
    assert names(book, limit=0) == []
    assert names(book, queue="q") == ["a", "b", "d"]
    assert names(book, queue="c") == ["c"]
    assert names(book, states=[State.HELD]) == ["d"]
    assert names(book, states=[State.HELD, State.QUEUED], queue="q", tag="x") == ["b", "d"]


def test_runs_are_counted_by_what_is_asked(book: Book) -> None:
    for name in ("a", "a", "b"):
        book.add(name, tags=(name,))
    assert book.store.count() == 3
    assert book.store.count(queue="a", states=[State.QUEUED]) == 2
    assert book.store.count(tag="b") == 1
    assert book.store.count(states=[State.FAILED]) == 0


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("team=vision", True),
        ("nightly", True),
        ("team", True),
        ("vision", False),
        ("tea", False),
        ("team=", False),
        ("team=vis", False),
        ("night", False),
        ("te_m", False),
        ("t%", False),
        ("TEAM", False),
        ("", False),
    ],
)
def test_a_tag_is_found_as_a_whole_and_a_key_stands_for_its_values(book: Book, tag: str, found: bool) -> None:
    book.add("tagged", tags=("team=vision", "nightly"))
    book.add("untagged")
    assert names(book, tag=tag) == (["tagged"] if found else [])


def test_a_line_tells_what_is_ahead_in_the_same_queue(book: Book) -> None:
    first, last, high = book.add("q"), book.add("q"), book.add("q", priority=Priority.HIGH)
    other = book.add("other")
    runs = [first, last, high, other]
    assert [line.ahead for line in book.store.lines(runs, 1)] == [1, 2, 0, 0]


def test_a_line_tells_what_runs_and_how_many_servers_are_up(book: Book) -> None:
    running = book.in_state(State.RUNNING, "q")
    waiting = book.add("q")
    (line,) = book.store.lines([waiting], 3)
    assert (line.servers, line.ahead, line.running) == (3, 0, {"q": [running.id]})


def test_a_run_that_does_not_wait_has_nothing_ahead(book: Book) -> None:
    runs = [book.in_state(State.SUCCEEDED, "q"), book.in_state(State.HELD, "q")]
    assert [line.ahead for line in book.store.lines(runs, 1)] == [0, 0]


def test_queues_are_told_with_what_is_not_over_in_them(book: Book) -> None:
    book.in_state(State.FAILED, "over")
    book.in_state(State.RUNNING, "b")
    for state in (State.SUCCEEDED, State.HELD, State.QUEUED, State.QUEUED):
        book.in_state(state, "a")
    assert [(name, dict(states)) for name, states in book.store.queues()] == [
        ("a", {State.QUEUED: 2, State.HELD: 1}),
        ("b", {State.RUNNING: 1}),
    ]


@pytest.mark.parametrize("state", list(State))
def test_the_store_is_busy_while_something_is_queued_or_running(book: Book, state: State) -> None:
    assert book.store.outlook(NOW)[:2] == (False, None)
    book.in_state(state)
    assert book.store.outlook(NOW)[:2] == (state in (State.QUEUED, State.RUNNING), None)


def test_runs_that_were_over_before_a_moment_can_be_forgotten(book: Book) -> None:
    old = [book.in_state(state, state) for state in ENDED]
    living = [book.in_state(state, state) for state in (State.RUNNING, State.HELD, State.QUEUED)]
    ids = book.store.ended_before(NOW + 2, 100)
    assert ids == sorted(run.id for run in old)
    assert book.store.ended_before(NOW, 100) == []
    assert book.store.ended_before(NOW + 2, 2) == ids[:2]
    book.store.forget(ids)
    assert [run.id for run in book.store.select()] == sorted(run.id for run in living)


def test_a_forgotten_run_takes_its_attempts_with_it(book: Book, connection: sqlite3.Connection) -> None:
    run = book.in_state(State.SUCCEEDED)
    book.store.forget([run.id])
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_a_run_that_is_not_over_cannot_be_forgotten(book: Book) -> None:
    runs = [book.in_state(state, state) for state in (State.RUNNING, State.QUEUED, State.HELD)]
    book.store.forget([run.id for run in runs])
    assert book.store.count() == 3


def test_the_id_of_a_forgotten_run_is_not_given_again(book: Book) -> None:
    assert book.store.last_id() == 0
    run = book.in_state(State.SUCCEEDED)
    book.store.forget([run.id])
    assert book.store.last_id() == run.id
    assert book.add().id == run.id + 1


def test_a_server_comes_lives_and_goes(book: Book) -> None:
    book.enter("a")
    book.store.beat("a", NOW + 5)
    (server,) = book.store.servers()
    assert (server.id, server.heartbeat_at) == ("a", NOW + 5)
    book.store.leave("a")
    assert book.store.servers() == []
