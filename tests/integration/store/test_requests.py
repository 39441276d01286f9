"""Requests about runs: naming, cancelling, holding, releasing and retrying them."""

import sqlite3

import pytest

from aqueue.errors import RunError
from aqueue.model.outcome import End
from aqueue.model.run import ENDED, State
from aqueue.model.task import Retries
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


@pytest.mark.parametrize("written", ["{id}", "train:x-1", "x-1"])
def test_a_run_is_named_in_three_ways(book: Book, written: str) -> None:
    book.add("other")
    run = book.add("train", run_id="x-1")
    assert book.store.runs.resolve(written.format(id=run.id)) == run


def test_a_run_id_of_digits_is_a_run_id_where_there_is_no_such_id(book: Book) -> None:
    run = book.add(run_id="20261122")
    assert book.store.runs.resolve("20261122") == run


@pytest.mark.parametrize(
    "written", ["7", "nothing", "task:nothing", "other:x", "", ":", "-1", "٣", "1 ", str(1 << 64), "9" * 5000]
)
def test_a_run_that_is_not_there_is_an_error(book: Book, written: str) -> None:
    book.add(run_id="x")
    with pytest.raises(RunError) as caught:
        book.store.runs.resolve(written)
    assert caught.value.hint


def test_a_run_id_that_several_runs_have_is_an_error(book: Book) -> None:
    book.add("a", run_id="x")
    book.add("b", run_id="x")
    with pytest.raises(RunError, match="several") as caught:
        book.store.runs.resolve("x")
    assert "NAME:RUN_ID" in caught.value.hint


def test_a_run_that_waits_is_aborted_at_once_when_cancelled(book: Book) -> None:
    for state in (State.QUEUED, State.HELD):
        run = book.in_state(state)
        assert book.store.lifecycle.cancel(run, "cancelled", NOW + 2) is State.ABORTED
        now = book.get(run)
        assert (now.state, now.reason, now.finished_at) == (State.ABORTED, "cancelled", NOW + 2)


def test_the_server_of_a_run_is_told_to_stop_it_when_cancelled(book: Book) -> None:
    run = book.in_state(State.RUNNING)
    assert book.store.lifecycle.cancel(run, "cancelled", NOW) is State.RUNNING
    assert book.store.lifecycle.cancellations("server") == [(run.id, "cancelled")]
    assert book.store.lifecycle.cancellations("another") == []
    book.finish(run, End.STOPPED, code=143)
    assert book.store.lifecycle.cancellations("server") == []


@pytest.mark.parametrize("end", [End.EXITED, End.LOST, End.NEVER_STARTED, End.TIMED_OUT])
def test_a_run_that_was_cancelled_is_not_tried_again(book: Book, end: End) -> None:
    book.add(retries=Retries(limit=5))
    (run,) = book.claim()
    book.store.lifecycle.cancel(run, "cancelled", NOW)
    ended = book.finish(run, end, code=1)
    assert ended is not None and (ended.state, ended.reason) == (State.ABORTED, "cancelled")


def test_a_held_run_is_not_started_until_it_is_released(book: Book) -> None:
    run = book.add()
    book.store.lifecycle.hold(run)
    assert book.claim() == []
    book.store.lifecycle.release(book.get(run))
    assert [claimed.id for claimed in book.claim()] == [run.id]


def test_a_run_that_is_over_can_be_retried_as_a_new_attempt(book: Book) -> None:
    for state in ENDED:
        run = book.in_state(state, name=state)
        book.store.lifecycle.retry([run])
        (again,) = book.claim(jobs=10)
        assert (again.id, again.attempt) == (run.id, run.attempt + 1)
        assert (again.finished_at, again.exit_code, again.failures) == (None, None, 0)
        book.finish(again)


@pytest.mark.parametrize(
    ("action", "possible"),
    [
        ("hold", {State.QUEUED}),
        ("release", {State.HELD}),
        ("retry", set(ENDED)),
        ("cancel", {State.HELD, State.QUEUED, State.RUNNING}),
    ],
)
@pytest.mark.parametrize("state", list(State))
def test_what_a_state_does_not_allow_is_an_error_that_changes_nothing(
    book: Book, action: str, possible: set[State], state: State
) -> None:
    run = book.in_state(state)
    arguments = {"cancel": (run, "cancelled", NOW), "retry": ([run],)}.get(action, (run,))
    if state in possible:
        getattr(book.store.lifecycle, action)(*arguments)
        return
    with pytest.raises(RunError, match=f"run {run.id}") as caught:
        getattr(book.store.lifecycle, action)(*arguments)
    assert state in caught.value.message
    assert book.get(run) == run
