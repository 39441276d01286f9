"""The life of a run in the store: it comes in, is claimed, ends, or is adopted."""

import sqlite3
import threading
from typing import Any

import pytest

from aqueue.errors import RunError, UsageError
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.model.run import State, Trigger
from aqueue.model.task import Priority, Retries, Task
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store
from tests.integration.accepting import accept
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


TASK = Task(name="task", command="true", working_dir="/")


def test_a_run_is_remembered_with_all_that_its_task_says(book: Book) -> None:
    task = Task(
        name="train",
        command=("python", "train.py"),
        working_dir="/w",
        queue="gpu",
        priority=Priority.HIGH,
        params={"lr": 0.1, "n": 3, "none": None, "flag": True},
        arguments=("a", ""),
        env={"A": "ä\n"},
        shell="/bin/bash",
        timeout=1.5,
        retries=Retries(limit=2, delay=1.0, exit_codes=(1, 75)),
        requeue=False,
        tags=("team=vision", "nightly"),
    )
    (id_,) = accept(book.store, "0a~gpu~train.yaml", [task], NOW)
    run = book.get(id_)
    assert run.task == task
    assert (run.name, run.queue, run.priority, run.state) == ("train", "gpu", Priority.HIGH, State.QUEUED)
    assert (run.created_at, run.attempt, run.server) == (NOW, 0, None)


@pytest.mark.parametrize(
    "wrong",
    [{"env": {"A": 1}}, {"hold": "no"}, {"gpus": True}, {"command": "\udc80"}],
    ids=str,
)
def test_a_task_that_could_not_be_read_back_is_refused_and_not_stored(book: Book, wrong: dict[str, Any]) -> None:
    task = Task(**{"name": "task", "command": "true", "working_dir": "/", **wrong})
    with pytest.raises(UsageError, match="the task cannot be stored: "):
        book.store.submissions.add(task, NOW, trigger=Trigger.MANUAL)
    assert book.store.runs.count() == 0


def test_a_source_is_accepted_once_however_often_it_is_said(book: Book) -> None:
    first = accept(book.store, "0a~~t.yaml", [TASK, TASK], NOW)
    again = accept(book.store, "0a~~t.yaml", [TASK, TASK], NOW)
    assert first == again
    assert len(set(first)) == book.store.runs.count() == 2


def test_a_source_is_accepted_once_over_several_connections(folder: Folder) -> None:
    sources = [f"{number:02}~~t.yaml" for number in range(30)]
    answers: list[list[list[int]]] = []

    def accept_all() -> None:
        connection = connect(folder)
        ids = []
        for source in sources:
            with transaction(connection, folder):
                ids.append(accept(Store(connection), source, [TASK, TASK], NOW))
        answers.append(ids)
        connection.close()

    threads = [threading.Thread(target=accept_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3
    assert answers[0] == answers[1] == answers[2]
    connection = connect(folder)
    assert Store(connection).runs.count() == 60
    connection.close()


def test_runs_of_different_files_have_different_run_ids(book: Book) -> None:
    ids = accept(book.store, "0a~~t.yaml", [TASK, TASK], NOW) + accept(book.store, "0b~~t.yaml", [TASK], NOW)
    assert len({book.get(id_).run_id for id_ in ids}) == 3


def test_a_run_id_is_unique_for_its_name(book: Book) -> None:
    book.add("a", run_id="x")
    book.add("b", run_id="x")
    with pytest.raises(RunError, match="a:x") as caught:
        book.add("a", run_id="x")
    assert caught.value.hint


def test_a_task_to_be_held_comes_in_as_held(book: Book) -> None:
    assert book.add(hold=True).state is State.HELD
    assert book.claim() == []


def test_high_goes_before_low_and_then_first_in_first_out(book: Book) -> None:
    for name, priority in (("a", 1), ("b", 0), ("c", 1), ("d", 0)):
        book.add(name, priority=Priority(priority))
    assert [run.name for run in book.claim(jobs=10)] == ["b", "d", "a", "c"]


def test_a_claimed_run_is_running_with_its_next_attempt(book: Book) -> None:
    run = book.add()
    (claimed,) = book.claim("me", now=NOW + 5)
    assert claimed == book.get(run)
    assert (claimed.state, claimed.attempt, claimed.server) == (State.RUNNING, 1, "me")
    assert (claimed.started_at, claimed.reason) == (NOW + 5, None)


def test_a_run_is_claimed_once(book: Book) -> None:
    book.add()
    assert len(book.claim("me")) == 1
    assert book.claim("you") == []


def test_a_local_queue_has_one_slot_for_all_servers_together(book: Book) -> None:
    book.add("same")
    book.add("same")
    book.add("other")
    assert [run.name for run in book.claim("me", jobs=10)] == ["same", "other"]
    assert book.claim("you", jobs=10) == []


def test_a_free_slot_is_given_to_the_next_in_the_queue(book: Book) -> None:
    first, second = book.add("same"), book.add("same")
    (running,) = book.claim(jobs=10)
    assert running.id == first.id
    book.finish(running)
    assert [run.id for run in book.claim(jobs=10)] == [second.id]


def test_a_server_runs_no_more_than_its_jobs(book: Book) -> None:
    for number in range(5):
        book.add(f"t{number}")
    assert len(book.claim("me", jobs=2)) == 2
    assert book.claim("me", jobs=2) == []
    assert len(book.claim("you", jobs=2)) == 2
    assert len(book.claim("me", jobs=3)) == 1


def test_a_run_that_cannot_start_does_not_block_other_queues(book: Book) -> None:
    for name in ("same", "same", "same", "other"):
        book.add(name)
    assert [run.name for run in book.claim(jobs=10)] == ["same", "other"]


def test_a_retry_is_not_claimed_before_its_time(book: Book) -> None:
    run = book.add(retries=Retries(limit=1, delay=10.0))
    (running,) = book.claim()
    waiting = book.finish(running, code=1)
    assert waiting is not None and waiting.ready_at == NOW + 11.0
    assert waiting.state is State.QUEUED
    assert book.next_ready() == NOW + 11.0
    assert book.claim(now=NOW + 10.9) == []
    (again,) = book.claim(now=NOW + 11.0)
    assert (again.id, again.attempt, again.ready_at) == (run.id, 2, None)
    assert book.next_ready() is None


def test_a_retry_lets_others_pass_while_it_waits(book: Book) -> None:
    book.add("same", retries=Retries(limit=1, delay=10.0))
    (running,) = book.claim()
    later = book.add("same")
    book.finish(running, code=1)
    assert [run.id for run in book.claim(now=NOW + 2)] == [later.id]


def test_the_end_of_an_attempt_is_recorded(book: Book) -> None:
    book.add()
    (running,) = book.claim()
    ended = book.finish(running, code=0)
    assert ended == book.get(running)
    assert ended is not None and (ended.state, ended.exit_code, ended.server) == (State.SUCCEEDED, 0, None)
    (attempt,) = book.store.runs.attempts(ended)
    assert (attempt.number, attempt.started_at, attempt.finished_at) == (1, NOW, NOW + 1.0)


def test_each_attempt_is_kept_and_the_living_one_is_among_them(book: Book) -> None:
    book.add(retries=Retries(limit=2))
    for code in (1, 2):
        (running,) = book.claim()
        book.finish(running, code=code)
    (running,) = book.claim()
    attempts = book.store.runs.attempts(running)
    assert [(attempt.number, attempt.exit_code) for attempt in attempts] == [(1, 1), (2, 2), (3, None)]
    assert attempts[-1].finished_at is None


def test_an_attempt_that_never_started_leaves_no_trace(book: Book) -> None:
    run = book.add()
    (running,) = book.claim()
    back = book.finish(running, End.NEVER_STARTED, code=None)
    assert back is not None and (back.state, back.failures, back.losses) == (State.QUEUED, 0, 0)
    assert book.store.runs.attempts(book.get(run)) == []


def test_only_the_owner_of_a_run_can_finish_it(book: Book) -> None:
    book.add()
    (running,) = book.claim("me")
    assert book.finish(running, server="you") is None
    assert book.get(running) == running
    assert book.store.runs.attempts(running)[0].finished_at is None


def test_an_attempt_that_is_over_cannot_be_finished_again(book: Book) -> None:
    book.add(retries=Retries(limit=1))
    (first,) = book.claim()
    book.finish(first, code=1)
    (second,) = book.claim()
    assert book.finish(first, code=0) is None
    assert book.get(second) == second


def test_a_source_that_is_said_again_uses_up_no_ids(book: Book) -> None:
    (first,) = accept(book.store, "0a~~t.yaml", [TASK], NOW)
    for _ in range(3):
        accept(book.store, "0a~~t.yaml", [TASK], NOW)
    assert accept(book.store, "0b~~t.yaml", [TASK], NOW) == [first + 1]
