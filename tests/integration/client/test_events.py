"""Events for programs: what happened to runs between two looks, however much that was."""

import sqlite3

import pytest

from aqueue.client.events import RunEvent, Watcher
from aqueue.model.task import Retries
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def seen(events: list[RunEvent]) -> list[tuple[str, int, int | None]]:
    return [(str(event.kind), event.run.id, event.attempt.number if event.attempt else None) for event in events]


def test_each_step_is_told_once(book: Book) -> None:
    before = book.add()
    watcher = Watcher(book.store)
    assert watcher.look(book.store) == []
    run = book.add()
    assert seen(watcher.look(book.store)) == [("accepted", run.id, None)]
    (claimed,) = book.claim()
    assert claimed.id == before.id
    assert seen(watcher.look(book.store)) == [("started", before.id, 1)]
    book.finish(claimed)
    assert seen(watcher.look(book.store)) == [("ended", before.id, 1)]
    assert watcher.look(book.store) == []


def test_what_happened_between_two_looks_is_told_in_order(book: Book) -> None:
    watcher = Watcher(book.store)
    run = book.add(retries=Retries(limit=1))
    for code in (1, 0):
        (claimed,) = book.claim()
        book.finish(claimed, code=code)
    assert seen(watcher.look(book.store)) == [
        ("accepted", run.id, None),
        ("started", run.id, 1),
        ("ended", run.id, 1),
        ("started", run.id, 2),
        ("ended", run.id, 2),
    ]


def test_an_attempt_after_which_a_run_waits_again_has_ended(book: Book) -> None:
    book.add(retries=Retries(limit=1))
    (claimed,) = book.claim()
    watcher = Watcher(book.store)
    book.finish(claimed, code=1)
    (event,) = watcher.look(book.store)
    assert (event.kind, event.run.state) == ("ended", "queued")


def test_a_run_that_is_retried_is_told_as_accepted_without_its_old_attempts(book: Book) -> None:
    run = book.add()
    (claimed,) = book.claim()
    book.finish(claimed, code=1)
    watcher = Watcher(book.store)
    book.store.lifecycle.retry([book.get(run)])
    book.claim()
    assert seen(watcher.look(book.store)) == [("accepted", run.id, None), ("started", run.id, 2)]


def test_a_run_that_is_over_without_an_attempt_has_ended_and_one_that_is_forgotten_is_not_told(book: Book) -> None:
    watcher = Watcher(book.store)
    cancelled, dequeued = book.add(), book.add(run_id="x")
    book.store.lifecycle.cancel(cancelled, "cancelled", NOW)
    book.store.lifecycle.dequeue(dequeued, "dequeued", NOW)
    assert seen(watcher.look(book.store)) == [("accepted", cancelled.id, None), ("ended", cancelled.id, None)]
