"""Edits of runs that wait: their task, their line, and what they come after."""

import sqlite3
from typing import Any

import msgspec
import pytest

from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.model.run import Run, State
from aqueue.model.task import Priority
from tests.integration.depending import Chain, wants
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


@pytest.fixture
def chain(connection: sqlite3.Connection, folder: Folder) -> Chain:
    return Chain(connection, folder)


def change(book: Book, run: Run, *, is_held: bool = False, **changes: Any) -> Run:
    book.store.edits.change(run, msgspec.structs.replace(run.task, **changes), is_held=is_held)
    return book.get(run)


def tags(connection: sqlite3.Connection) -> list[str]:
    return [tag for (tag,) in connection.execute("SELECT tag FROM run_tags ORDER BY tag")]


def come_after(chain: Chain, name: str, *after: str, after_any: bool = False) -> None:
    with chain.open() as store:
        store.edits.come_after(store.runs.resolve(name), after, chain.now(), after_any=after_any)


def test_a_run_has_all_of_its_new_task(book: Book, connection: sqlite3.Connection) -> None:
    run = book.add("old", tags=("a", "b=1"), group="g")
    edited = change(book, run, name="new", priority=Priority.HIGH, tags=("b=1", "c"), group=None, gpus=2)
    assert (edited.name, edited.queue, edited.priority, edited.state) == ("new", "new", 0, State.QUEUED)
    assert (edited.task.tags, tags(connection), book.store.runs.groups()) == (("b=1", "c"), ["b=1", "c"], [])
    assert connection.execute("SELECT queue, gpu_request, run FROM heads").fetchall() == [
        ("new", '{"count":2}', run.id)
    ]


def test_it_has_its_turn_in_its_new_line_by_its_age(book: Book) -> None:
    first, moved, last = book.add(queue="a"), book.add(queue="b"), book.add(queue="a")
    change(book, moved, queue="a")
    assert [run.id for run in book.claim(jobs=1)] == [first.id]
    change(book, last, priority=Priority.HIGH)
    assert [run.id for run in book.claim("other", jobs=1)] == []
    book.finish(book.get(first))
    assert [run.id for run in book.claim(jobs=1)] == [last.id]
    book.finish(book.get(last))
    assert [run.id for run in book.claim(jobs=1)] == [moved.id]


def test_a_held_run_stays_held_unless_it_is_said_otherwise(book: Book) -> None:
    run = book.add(hold=True)
    assert change(book, run, is_held=True, priority=Priority.HIGH).state is State.HELD
    assert change(book, book.get(run)).state is State.QUEUED
    assert change(book, book.get(run), is_held=True).state is State.HELD


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCEEDED, State.FAILED, State.ABORTED])
def test_a_run_that_does_not_wait_is_refused_with_the_reason(book: Book, state: State) -> None:
    run = book.in_state(state)
    what = "it has started" if state is State.RUNNING else f"it is {state}"
    with pytest.raises(RunError, match=f"run {run.id} cannot be edited: {what}$"):
        change(book, run, priority=Priority.HIGH)
    assert book.get(run) == run


def test_a_run_is_not_renamed_once_it_has_run_or_to_a_name_that_is_taken(book: Book) -> None:
    ran = book.in_state(State.SUCCEEDED)
    book.store.lifecycle.retry([ran])
    with pytest.raises(RunError, match="cannot be renamed: it has run as task"):
        change(book, book.get(ran), name="other")
    book.add("taken", run_id="one")
    run = book.add("free", run_id="one")
    with pytest.raises(RunError, match="there already is a run taken:one"):
        change(book, run, name="taken")


def test_a_retry_that_is_taken_back_takes_its_edits_along(book: Book, connection: sqlite3.Connection) -> None:
    book.add(tags=("a",), params={"lr": 0.1})
    (running,) = book.claim()
    book.finish(running)
    before = book.get(running)
    book.store.lifecycle.retry([before])
    other = book.add("other")
    edited = change(book, book.get(before), params={"lr": 0.2}, queue="lane", tags=("b",), group="g", gpus=1)
    book.store.edits.come_after(edited, [str(other.id)], NOW, after_any=False)
    assert book.store.lifecycle.cancel(book.get(before), "cancelled", NOW + 9) is State.SUCCEEDED
    assert (book.get(before), tags(connection)) == (before, ["a"])
    assert connection.execute("SELECT count(*) FROM prerequisites").fetchone() == (0,)


def test_a_retry_that_began_keeps_its_edits(book: Book) -> None:
    before = book.in_state(State.FAILED)
    book.store.lifecycle.retry([before])
    change(book, book.get(before), params={"lr": 0.2})
    (running,) = book.claim()
    assert book.finish(running, End.EXITED, 0) is not None
    assert (book.get(before).state, book.get(before).task.params) == (State.SUCCEEDED, {"lr": 0.2})


def test_a_run_comes_after_others_than_before(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c"))
    come_after(chain, "b", "c")
    assert chain.waits("b")
    chain.go("c")
    assert chain.start() == ["b"]


def test_a_run_need_not_wait_any_more(chain: Chain) -> None:
    chain.a_then_b()
    come_after(chain, "b")
    assert chain.start() == ["a", "b"]


def test_a_run_that_waits_for_what_is_over_may_start(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.go("a")
    chain.enqueue(wants("b"), wants("c"))
    come_after(chain, "b", "a", "c")
    assert chain.waits("b")
    come_after(chain, "b", "a")
    assert chain.start() == ["b", "c"]


def test_what_has_failed_cannot_come_first_unless_any_end_will_do(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.go("a", code=1)
    chain.enqueue(wants("b"))
    with pytest.raises(RunError, match="run 2 cannot come after run 1 a, which is failed"):
        come_after(chain, "b", "a")
    come_after(chain, "b", "a", after_any=True)
    assert chain.start() == ["b"]


def test_no_run_comes_after_itself_by_whatever_way(chain: Chain) -> None:
    chain.enqueue(wants("a"), wants("b", needs=["a"], runs=3), wants("c", needs=["b"]))
    for after in ("a", "c", "group:b"):
        with pytest.raises(RunError, match="neither could ever start"):
            come_after(chain, "a", after)
    come_after(chain, "c", "a")
    assert chain.waits("c")
