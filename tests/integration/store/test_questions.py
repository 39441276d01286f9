"""Queries of the store by people, and pruning."""

import sqlite3
from typing import Any

import pytest

from aqueue.model.config import Queue
from aqueue.model.run import ENDED, State
from aqueue.model.task import Priority, Retries
from aqueue.policy.limits import Limits
from aqueue.store.queues import Counted, Outlook
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def names(book: Book, **question: Any) -> list[str]:
    return [run.name for run in book.store.runs.select(**question)]


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


def test_runs_are_found_by_what_happened_to_them_last(connection: sqlite3.Connection, book: Book) -> None:
    for name in ("running", "ended", "long ago", "queued"):
        book.in_state({"running": State.RUNNING, "queued": State.QUEUED}.get(name, State.FAILED), name)
    times = {"queued": (50, None, None), "running": (1, 60, None), "ended": (1, 2, 70), "long ago": (1, 2, 3)}
    for name, moments in times.items():
        connection.execute(
            "UPDATE runs SET created_at = ?, started_at = ?, finished_at = ? WHERE name = ?", (*moments, name)
        )
    assert names(book, since=50) == ["running", "ended", "queued"]
    assert names(book, since=51) == ["running", "ended"]
    assert names(book, since=3, states=[State.FAILED]) == ["ended", "long ago"]
    assert names(book, since=61, queue="ended") == names(book, since=61) == ["ended"]
    assert names(book, since=61, tag="no") == []
    assert book.store.runs.count(since=60) == 2
    assert book.store.runs.ended_since(3) == {State.FAILED: 2}
    assert book.store.runs.ended_since(71) == {}


def test_runs_are_counted_by_what_is_asked(book: Book) -> None:
    for name in ("a", "a", "b"):
        book.add(name, tags=(name,))
    assert book.store.runs.count() == 3
    assert book.store.runs.count(queue="a", states=[State.QUEUED]) == 2
    assert book.store.runs.count(tag="b") == 1
    assert book.store.runs.count(states=[State.FAILED]) == 0


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
    assert [line.ahead for line in book.store.queues.lines(runs, [], {})] == [1, 2, 0, 0]


def test_a_line_tells_how_far_back_a_run_is_whichever_others_are_asked_about(book: Book) -> None:
    runs = [book.add("q", priority=Priority(number % 2)) for number in range(40)]
    in_order = sorted(runs, key=lambda run: (run.priority, run.turn, run.id))
    for asked in (runs, runs[::-1], runs[7:30:5], runs[39:]):
        assert [line.ahead for line in book.store.queues.lines(asked, [], {})] == [
            in_order.index(run) for run in asked
        ]


def test_lines_of_some_at_a_time_are_the_lines_of_all(book: Book) -> None:
    runs = [book.add("q", priority=Priority(number % 2)) for number in range(40)]
    whole = [line.ahead for line in book.store.queues.lines(runs, [], {})]
    for order in (1, -1):
        counted: Counted = {}
        slices = [runs[start : start + 7] for start in range(0, 40, 7)][::order]
        found = [
            [line.ahead for line in book.store.queues.lines(part, [], {}, counted=counted)] for part in slices
        ]
        assert [ahead for part in found[::order] for ahead in part] == whole


def test_runs_come_in_slices_in_the_order_of_the_ids_that_are_given(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqueue.store.runs._SLICE", 2)
    ids = [book.add(name).id for name in "abcde"]
    assert book.store.runs.ids() == ids
    assert [[run.id for run in runs] for runs in book.store.runs.in_slices(ids[::-1])] == [[5, 4], [3, 2], [1]]


def test_a_line_tells_what_runs_and_which_servers_are_up(book: Book) -> None:
    running = book.in_state(State.RUNNING, "q")
    waiting = book.add("q")
    book.enter("server")
    servers = book.store.servers.all()
    (line,) = book.store.queues.lines([waiting], servers, {})
    assert (list(line.servers), line.ahead, line.running) == (servers, 0, {"q": [running.id]})


def test_a_line_tells_how_many_jobs_each_server_has_taken(book: Book) -> None:
    for name in ("a", "b", "c"):
        book.add(name)
    book.claim("me", jobs=2)
    book.claim("you")
    (line,) = book.store.queues.lines([book.add("q")], [], {"a": Queue(name="a")})
    assert dict(line.jobs) == {"me": 1, "you": 1}


def test_a_line_tells_whether_a_person_has_paused_its_queue(book: Book) -> None:
    book.store.queues.pause("q")
    assert [line.is_paused for line in book.store.queues.lines([book.add("q"), book.add("r")], [], {})] == [
        True,
        False,
    ]


def test_a_run_that_does_not_wait_has_nothing_ahead(book: Book) -> None:
    runs = [book.in_state(State.SUCCEEDED, "q"), book.in_state(State.HELD, "q")]
    assert [line.ahead for line in book.store.queues.lines(runs, [], {})] == [0, 0]


def test_queues_are_told_with_what_is_not_over_in_them(book: Book) -> None:
    book.in_state(State.FAILED, "over")
    book.in_state(State.RUNNING, "b")
    for state in (State.SUCCEEDED, State.HELD, State.QUEUED, State.QUEUED):
        book.in_state(state, "a")
    assert [(name, dict(states)) for name, states in book.store.queues.counts()] == [
        ("a", {State.QUEUED: 2, State.HELD: 1}),
        ("b", {State.RUNNING: 1}),
    ]


@pytest.mark.parametrize("state", list(State))
def test_the_store_is_busy_while_something_is_queued_or_running(book: Book, state: State) -> None:
    assert book.store.queues.outlook(Limits(), NOW) == Outlook(
        busy=False, waiting=False, next_ready=None, servers=0
    )
    book.in_state(state)
    is_busy = state in (State.QUEUED, State.RUNNING)
    is_waiting = state is State.QUEUED
    assert book.store.queues.outlook(Limits(), NOW) == Outlook(
        busy=is_busy, waiting=is_waiting, next_ready=None, servers=0, running=state is State.RUNNING
    )


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_a_server_is_not_busy_with_queues_that_others_serve(book: Book, state: State) -> None:
    book.in_state(state, "theirs")
    assert not book.store.queues.outlook(Limits(serves=["ours"]), NOW).busy
    assert book.store.queues.outlook(Limits(serves=["ours", "theirs"]), NOW).busy


def test_a_retry_keeps_a_server_busy_until_its_time(book: Book) -> None:
    book.add("q", retries=Retries(limit=1, delay=10.0))
    (running,) = book.claim()
    book.finish(running, code=1)
    assert book.store.queues.outlook(Limits(serves=["q"]), NOW)[:3] == (True, False, NOW + 11.0)
    assert not book.store.queues.outlook(Limits(serves=["another"]), NOW).busy


def test_the_first_of_a_queue_is_the_next_to_be_started(book: Book) -> None:
    assert book.store.queues.first("q") is None
    book.add("another")
    low, high = book.add("q"), book.add("q", priority=Priority.HIGH)
    assert book.store.queues.first("q") == high
    book.store.lifecycle.hold(high)
    assert book.store.queues.first("q") == low


def test_without_any_that_is_ready_the_first_of_a_queue_is_the_one_that_is_so_soonest(book: Book) -> None:
    for delay in (20.0, 10.0):
        book.add("q", retries=Retries(limit=1, delay=delay))
        (running,) = book.claim()
        last = book.finish(running, code=1)
    assert book.store.queues.first("q") == last
    ready = book.add("q")
    assert book.store.queues.first("q") == ready


def test_runs_that_were_over_before_a_moment_can_be_forgotten(book: Book) -> None:
    old = [book.in_state(state, state) for state in ENDED]
    living = [book.in_state(state, state) for state in (State.RUNNING, State.HELD, State.QUEUED)]
    ids = book.store.runs.ended_before(NOW + 2, 100)
    assert sorted(ids) == sorted(run.id for run in old)
    assert book.store.runs.ended_before(NOW, 100) == []
    assert book.store.runs.ended_before(NOW + 2, 2) == ids[:2]
    assert book.store.runs.ended_before(NOW + 2, 2, without=ids[:1]) == ids[1:3]
    book.store.runs.forget(ids)
    assert [run.id for run in book.store.runs.select()] == sorted(run.id for run in living)


def test_a_forgotten_run_takes_its_attempts_with_it(book: Book, connection: sqlite3.Connection) -> None:
    run = book.in_state(State.SUCCEEDED)
    book.store.runs.forget([run.id])
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_a_run_that_is_not_over_cannot_be_forgotten(book: Book) -> None:
    runs = [book.in_state(state, state) for state in (State.RUNNING, State.QUEUED, State.HELD)]
    book.store.runs.forget([run.id for run in runs])
    assert book.store.runs.count() == 3


def test_the_id_of_a_forgotten_run_is_not_given_again(book: Book) -> None:
    assert book.store.runs.last_id() == 0
    run = book.in_state(State.SUCCEEDED)
    book.store.runs.forget([run.id])
    assert book.store.runs.last_id() == run.id
    assert book.add().id == run.id + 1
