"""Claims from queues that are configured, paused or served alone, and removals from them."""

import sqlite3
import threading

import pytest

from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.config import Queue
from aqueue.model.outcome import End
from aqueue.model.run import State
from aqueue.model.task import Priority, Retries
from aqueue.policy.limits import Limits
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


GPU = Queue(name="gpu", max_concurrency=2)
ALONE = Queue(name="alone", max_concurrency=2, wait_for_running=True)


def add(book: Book, *queues: str) -> list[int]:
    return [book.add(queue).id for queue in queues]


def claim(book: Book, server: str = "server", jobs: int = 1, *queues: Queue) -> list[int]:
    return [run.id for run in book.claim(server, jobs, queues=queues)]


def test_a_configured_queue_has_so_many_slots_over_all_servers(book: Book) -> None:
    first, second, third = add(book, "gpu", "gpu", "gpu")
    assert claim(book, "me", 1, GPU) == [first, second]
    assert claim(book, "you", 1, GPU) == []
    book.finish(book.get(first), server="me")
    assert claim(book, "you", 1, GPU) == [third]


def test_runs_in_configured_queues_take_no_jobs(book: Book) -> None:
    ids = add(book, "gpu", "gpu", "a", "b")
    assert claim(book, "me", 1, GPU) == ids[:3]
    assert claim(book, "me", 2, GPU) == ids[3:]


def test_a_server_without_a_free_job_goes_on_with_the_configured_queues_it_serves(book: Book) -> None:
    add(book, "a")
    claim(book, "me", 1)
    _, mine = add(book, "other", "gpu")
    queues = [GPU, Queue(name="other")]
    assert [run.id for run in book.claim("me", 1, queues=queues, serves=["gpu", "a"])] == [mine]


def test_high_goes_before_low_in_a_configured_queue_and_then_first_in_first_out(book: Book) -> None:
    ids = [book.add("gpu", priority=Priority(number)).id for number in (1, 0, 1, 0)]
    order = [ids[1], ids[3], ids[0], ids[2]]
    assert claim(book, "me", 1, GPU) == order[:2]
    for id_ in order[:2]:
        book.finish(book.get(id_), server="me")
    assert claim(book, "me", 1, GPU) == order[2:]


def test_a_lowered_limit_drains_and_a_raised_one_is_used_at_once(book: Book) -> None:
    ids = add(book, *["gpu"] * 6)
    wide, narrow = Queue(name="gpu", max_concurrency=3), Queue(name="gpu", max_concurrency=1)
    assert claim(book, "me", 1, wide) == ids[:3]
    for id_ in ids[:2]:
        assert claim(book, "me", 1, narrow) == []
        book.finish(book.get(id_), server="me")
    assert claim(book, "me", 1, narrow) == []
    assert claim(book, "me", 1, wide) == ids[3:5]


def test_nothing_is_started_where_queues_are_disabled(book: Book) -> None:
    book.add("gpu")
    book.add("a")
    assert book.store.claims.claim("me", Limits(queues={"gpu": GPU}, disabled_by="so"), NOW).runs == []
    assert len(book.claim(queues=[GPU])) == 2


def test_a_server_starts_only_runs_of_the_queues_it_serves(book: Book) -> None:
    ids = add(book, "a", "b", "gpu", "c")
    assert [run.id for run in book.claim("me", 9, queues=[GPU], serves=["b", "gpu"])] == ids[1:3]
    assert book.claim("me", 9, serves=[]) == []
    assert [run.id for run in book.claim("you", 9)] == [ids[0], ids[3]]


# Pauses


def test_nothing_of_a_paused_queue_is_started_until_it_is_resumed(book: Book) -> None:
    a, b = add(book, "a", "b")
    book.store.queues.pause("a")
    book.store.queues.pause("a")
    assert book.store.queues.paused() == {"a"}
    assert claim(book, "me", 9) == [b]
    assert book.store.queues.resume("a")
    assert not book.store.queues.resume("a")
    assert claim(book, "me", 9) == [a]


def test_a_queue_that_is_configured_as_paused_is_not_resumed_by_a_person(book: Book) -> None:
    add(book, "gpu")
    paused = Queue(name="gpu", max_concurrency=2, paused=True)
    assert not book.store.queues.resume("gpu")
    assert claim(book, "me", 1, paused) == []


def test_what_runs_in_a_queue_goes_on_while_it_is_paused(book: Book) -> None:
    running = book.in_state(State.RUNNING, "a")
    book.store.queues.pause("a")
    ended = book.finish(running)
    assert ended is not None and ended.state is State.SUCCEEDED


# Alone


def test_a_queue_that_waits_for_all_others_starts_a_run_when_nothing_else_runs(book: Book) -> None:
    other, first, second = add(book, "a", "alone", "alone")
    assert claim(book, "me", 9, ALONE) == [other]
    assert claim(book, "you", 9, ALONE) == []
    book.finish(book.get(other), server="me")
    assert claim(book, "you", 9, ALONE) == [first]
    assert claim(book, "me", 9, ALONE) == []
    book.finish(book.get(first), server="you")
    assert claim(book, "me", 9, ALONE) == [second]


def test_two_servers_that_decide_at_the_same_moment_start_one_run_alone(folder: Folder) -> None:
    connection = connect(folder)
    queues = {name: Queue(name=name, max_concurrency=9, wait_for_running=True) for name in ("a", "b")}
    book = Book(connection)
    add(book, *["a", "b"] * 5)
    claimed: list[int] = []
    together = threading.Barrier(4)

    def claim_once(server: str) -> None:
        own = connect(folder)
        together.wait()
        with transaction(own, folder):
            claimed.extend(run.id for run in Store(own).claims.claim(server, Limits(queues=queues), NOW).runs)
        own.close()

    threads = [threading.Thread(target=claim_once, args=(f"server-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claimed == [1]
    connection.close()


# Taken off


def test_a_dequeued_run_that_never_had_an_attempt_is_removed_altogether(book: Book) -> None:
    run = book.add("q")
    assert book.store.lifecycle.dequeue(run, "dequeued", NOW)
    assert book.store.runs.get(run.id) is None
    assert book.claim() == []


def test_a_claim_that_never_came_to_a_start_is_no_attempt(book: Book) -> None:
    run = book.add("q")
    (running,) = book.claim()
    book.finish(running, End.NEVER_STARTED, code=None)
    assert book.store.lifecycle.dequeue(book.get(run), "dequeued", NOW)


def test_a_dequeued_run_keeps_its_earlier_attempts_as_they_were(book: Book) -> None:
    book.add("q", retries=Retries(limit=2, delay=10.0))
    (running,) = book.claim()
    waiting = book.finish(running, code=3)
    assert waiting is not None
    attempts = book.store.runs.attempts(waiting)
    assert not book.store.lifecycle.dequeue(waiting, "dequeued", NOW + 5)
    after = book.get(waiting)
    assert (after.state, after.reason, after.finished_at) == (State.ABORTED, "dequeued", NOW + 5)
    assert book.store.runs.attempts(after) == attempts
    assert [attempt.exit_code for attempt in attempts] == [3]
    assert book.claim(now=NOW + 60) == []


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_a_run_that_is_not_queued_cannot_be_dequeued(book: Book, state: State) -> None:
    run = book.in_state(state)
    with pytest.raises(RunError, match=f"run {run.id} cannot be dequeued: it is {state}"):
        book.store.lifecycle.dequeue(run, "dequeued", NOW)
    assert book.get(run) == run


def test_of_runs_that_are_ready_again_at_the_same_moment_the_first_in_line_is_first(
    book: Book,
) -> None:
    retries = Retries(limit=1, delay=30.0)
    low = book.add("low", queue="q", retries=retries)
    high = book.add("high", queue="q", priority=Priority.HIGH, retries=retries)
    for run in book.claim(jobs=9, queues=[Queue(name="q", max_concurrency=2)]):
        book.finish(run, code=1)
    assert book.get(low).ready_at == book.get(high).ready_at
    first = book.store.queues.first("q")
    assert first is not None
    assert first.id == high.id
