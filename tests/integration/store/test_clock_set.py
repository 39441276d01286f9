"""The wall clock is set while runs wait and run: the moments of what goes on move with it."""

import sqlite3

import pytest

from aqueue.model.run import State
from aqueue.model.task import Retries
from tests.integration.recording import NOW, Book

BOOT = "this boot"
AHEAD = NOW - 5000.0
"""The machine was started 5,000 s ago."""


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    book = Book(connection)
    book.store.servers.follow_set_clock(BOOT, AHEAD)
    return book


@pytest.mark.parametrize("jump", [-5 * 3600.0, 5 * 3600.0])
def test_a_delay_a_start_and_a_heartbeat_move_with_it_by_whomever_it_is_noticed_first(
    book: Book, jump: float
) -> None:
    book.enter("server")
    book.add("delayed", retries=Retries(limit=1, delay=2.0))
    (first,) = book.claim(jobs=9)
    delayed = book.finish(first, code=1)
    book.add("runs")
    (runs,) = book.claim(jobs=9)
    assert delayed is not None
    assert delayed.ready_at is not None
    for _ in "two servers":
        book.store.servers.follow_set_clock(BOOT, AHEAD + jump)
    assert book.get(delayed).ready_at == delayed.ready_at + jump
    assert book.get(runs).started_at == NOW + jump
    assert book.server("server").heartbeat_at == NOW + jump


def test_what_waits_for_others_still_does_and_what_is_over_stays_as_it_was(book: Book) -> None:
    over = book.in_state(State.SUCCEEDED)
    set_ = book.store.dependencies.add_set([book.add("first").id], after_any=False)
    task = book.add("second").task
    waiting = book.store.submissions.add(task, NOW, trigger=over.trigger, prerequisites=set_)
    assert waiting is not None
    before = book.get(waiting)
    book.store.servers.follow_set_clock(BOOT, AHEAD - 3600.0)
    assert book.get(waiting) == before
    assert book.get(over) == over


def test_after_another_boot_or_within_a_second_nothing_moves(book: Book) -> None:
    book.enter("server")
    book.store.servers.follow_set_clock(BOOT, AHEAD + 0.9)
    assert book.server("server").heartbeat_at == NOW
    book.store.servers.follow_set_clock("another boot", AHEAD - 3600.0)
    assert book.server("server").heartbeat_at == NOW
    assert book.store.servers.clock_jump("another boot", AHEAD) == 3600.0


def test_what_an_attempt_took_is_right_although_the_clock_was_set_while_it_ran(book: Book) -> None:
    book.add()
    (running,) = book.claim()
    book.store.servers.follow_set_clock(BOOT, AHEAD - 3600.0)
    over = book.finish(running)  # it says NOW + 1.0, which is an hour and a second after its start
    assert over is not None
    assert over.took == 3601.0
    (attempt,) = book.store.runs.attempts(over)
    assert attempt.started_at == NOW - 3600.0
