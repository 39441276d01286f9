"""Runs that are moved in line, and the order in which servers start them."""

import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqueue.errors import RunError
from aqueue.model.config import Queue
from aqueue.model.run import State
from aqueue.model.task import Priority
from aqueue.policy.limits import Limits
from aqueue.store.places import Places
from tests.integration.recording import NOW, Book
from tests.unit.blank import blank_database


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def starts(book: Book) -> list[int]:
    """Return the ids of the runs that a server starts, one after the other."""
    found: list[int] = []
    while claimed := book.claim(jobs=1):
        found += [run.id for run in claimed]
        for run in claimed:
            book.finish(run)
    return found


def test_runs_go_where_they_are_moved_in_the_given_order(book: Book) -> None:
    one, two, three, four, five = (book.add() for _ in range(5))
    book.store.places.move_first([four, three])
    book.store.places.move_last([one])
    book.store.places.move_before([five], book.get(two))
    later = book.add()
    assert starts(book) == [4, 3, 5, 2, 1, later.id]


def test_after_the_last_is_before_what_is_queued_later(book: Book) -> None:
    one, two = book.add(), book.add()
    for run in (one, two, one, two, one):
        book.store.places.move_last([book.get(run)])
    book.store.places.move_after([book.get(two)], book.get(one))
    later = book.add()
    assert starts(book) == [1, 2, later.id]


def test_high_priority_still_goes_first(book: Book) -> None:
    high, low = book.add(priority=Priority.HIGH), book.add()
    late = book.add(priority=Priority.CATCHUP)
    book.store.places.move_first([low])
    with pytest.raises(RunError, match="run 2 cannot be moved before run 1: run 1 has priority high, and goes"):
        book.store.places.move_before([low], high)
    with pytest.raises(RunError, match="run 1 cannot be moved after run 2: run 1 has priority high"):
        book.store.places.move_after([high], book.get(low))
    with pytest.raises(RunError, match="run 3 makes up for a missed time"):
        book.store.places.move_before([late], book.get(low))
    assert starts(book) == [1, 2, 3]


@pytest.mark.parametrize("state", [State.RUNNING, State.FAILED])
def test_a_run_that_does_not_wait_is_neither_moved_nor_a_place_to_move_to(book: Book, state: State) -> None:
    over, waits = book.in_state(state), book.add()
    with pytest.raises(RunError, match=f"run 1 cannot be moved: it is {state}"):
        book.store.places.move_first([over])
    with pytest.raises(RunError, match=f"run 1 cannot be moved to: it is {state}"):
        book.store.places.move_after([waits], over)
    with pytest.raises(RunError, match="run 2 cannot be moved before or after itself"):
        book.store.places.move_after([waits], waits)


def test_a_held_run_keeps_its_place_until_it_is_released(book: Book) -> None:
    _, held = book.add(), book.add(hold=True)
    book.store.places.move_first([held])
    book.store.lifecycle.release(book.get(held))
    assert starts(book) == [2, 1]


def test_a_retry_has_its_turn_by_its_age_again(book: Book) -> None:
    run = book.add()
    book.store.places.move_last([run])
    (claimed,) = book.claim()
    book.finish(claimed)
    book.add()
    book.store.lifecycle.retry([book.get(run)])
    assert book.get(run).turn == run.id


def test_there_is_always_room_between_two(book: Book) -> None:
    one, *others = (book.add() for _ in range(4))
    for _ in range(80):
        for run in others:
            book.store.places.move_after([book.get(run)], book.get(one))
    assert starts(book) == [1, 4, 3, 2]


LANE = Queue(name="lane")
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["first", "last", "before", "after"]),
        st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True),
        st.integers(1, 8),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(MOVES, st.lists(st.sampled_from([Priority.HIGH, Priority.LOW]), min_size=8, max_size=8))
def test_whatever_is_moved_the_order_is_that_of_a_list(moves: Any, priorities: list[Priority]) -> None:
    connection = blank_database()
    book = Book(connection)
    runs = {number: book.add(queue="lane", priority=priorities[number - 1]) for number in range(1, 9)}
    order = [*runs]
    for where, moved, other in moves:
        if other in moved:
            continue
        left = [number for number in order if number not in moved]
        at = {"first": 0, "last": len(left), "before": left.index(other), "after": left.index(other) + 1}[where]
        chosen = [book.get(runs[number]) for number in moved]
        rest = [book.get(runs[other])] if where in ("before", "after") else []
        try:
            getattr(Places(connection), f"move_{where}")(chosen, *rest)
        except RunError:
            continue
        order = [*left[:at], *moved, *left[at:]]
    expected = [number for priority in (0, 1) for number in order if priorities[number - 1] == priority]
    ahead = book.store.queues.lines([book.get(runs[number]) for number in expected], [], {"lane"})
    assert [line.ahead for line in ahead] == [*range(8)]
    found: list[int] = []
    while claimed := book.store.claims.claim("server", Limits(queues={"lane": LANE}), NOW).runs:
        found += [run.id for run in claimed]
        book.finish(claimed[0])
    assert found == expected
    connection.close()


def test_a_retry_that_is_taken_back_takes_back_its_place(book: Book) -> None:
    first, _ = book.add(), book.add()
    (claimed,) = book.claim(jobs=1)
    book.finish(claimed)
    before = book.get(first)
    book.store.lifecycle.retry([before])
    book.store.places.move_last([book.get(first)])
    book.store.lifecycle.cancel(book.get(first), "cancelled", NOW)
    assert book.get(first).turn == before.turn
