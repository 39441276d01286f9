"""A retry that has not begun is taken back: what had ended keeps the truth of its attempts."""

import sqlite3

import msgspec
import pytest

from aqueue.model.outcome import End
from aqueue.model.run import Run, State
from aqueue.model.task import Retries
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def as_before(after: Run, before: Run) -> bool:
    return msgspec.structs.replace(after, attempt=before.attempt) == before


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_a_retry_that_is_cancelled_before_it_begins_leaves_the_run_as_it_was(book: Book, state: State) -> None:
    before = book.in_state(state)
    book.store.lifecycle.retry([before])
    assert book.store.lifecycle.cancel(book.get(before), "cancelled", NOW + 9) is state
    assert book.get(before) == before


def test_so_does_one_that_is_held_before_it_is_cancelled(book: Book) -> None:
    before = book.in_state(State.SUCCEEDED)
    book.store.lifecycle.retry([before])
    book.store.lifecycle.hold(book.get(before))
    book.store.lifecycle.cancel(book.get(before), "cancelled", NOW + 9)
    assert book.get(before) == before


def test_so_does_one_that_is_dequeued(book: Book) -> None:
    before = book.in_state(State.FAILED)
    book.store.lifecycle.retry([before])
    assert not book.store.lifecycle.dequeue(book.get(before), "dequeued", NOW + 9)
    assert book.get(before) == before


def test_so_does_one_that_was_claimed_and_never_began(book: Book) -> None:
    before = book.in_state(State.SUCCEEDED)
    book.store.lifecycle.retry([before])
    (claimed,) = book.claim()
    assert book.finish(claimed, End.NEVER_STARTED, None) is not None
    assert book.store.lifecycle.cancel(book.get(before), "cancelled", NOW + 9) is State.SUCCEEDED
    assert as_before(book.get(before), before)


def test_so_does_one_that_is_cancelled_while_it_is_being_started(book: Book) -> None:
    before = book.in_state(State.SUCCEEDED)
    book.store.lifecycle.retry([before])
    (claimed,) = book.claim()
    book.store.lifecycle.cancel(claimed, "cancelled", NOW + 9)
    after = book.finish(claimed, End.NEVER_STARTED, None)
    assert after is not None
    assert as_before(after, before)


def test_once_it_has_begun_it_is_a_new_attempt(book: Book) -> None:
    before = book.in_state(State.SUCCEEDED)
    book.store.lifecycle.retry([before])
    (claimed,) = book.claim()
    book.store.lifecycle.cancel(claimed, "cancelled", NOW + 9)
    assert book.finish(claimed, End.STOPPED, 143) is not None
    assert book.get(before).state is State.ABORTED
    assert [attempt.exit_code for attempt in book.store.runs.attempts(book.get(before))] == [0, 143]


@pytest.mark.parametrize("waits", [0.0, 500.0])
def test_what_it_took_is_the_time_of_its_last_attempt_however_long_it_waited_before_it_was_cancelled(
    book: Book, waits: float
) -> None:
    book.add(retries=Retries(limit=3, delay=1000.0))
    (running,) = book.claim()
    waiting = book.finish(running, code=1)
    assert waiting is not None
    assert (waiting.state, waiting.took) == (State.QUEUED, 1.0)
    book.store.lifecycle.cancel(book.get(running), "cancelled", NOW + 1.0 + waits)
    over = book.get(running)
    assert (over.state, over.took) == (State.ABORTED, 1.0)
