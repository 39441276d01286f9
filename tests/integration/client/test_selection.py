"""Runs chosen by ranges of ids, states, queues, groups and tags."""

import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Sequence

import pytest

from aqueue.client.pruning import prune
from aqueue.client.selection import Selection, resolve_all, selected
from aqueue.errors import AqueueError, QueueError, RunError, UsageError
from aqueue.folder.layout import Folder
from aqueue.model.run import State
from aqueue.store.store import Store
from tests.integration.recording import Book

WAITING = (State.QUEUED, State.HELD)


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    """Eight runs: queued in lane (1-3) and gpu (4, 5; 5 with a tag), held (6), failed (7), succeeded (8)."""
    book = Book(connection)
    for number in (1, 2, 3):
        book.add(f"t-{number}", queue="lane", group="sweep")
    book.add("plain", queue="gpu")
    book.add("tagged", queue="gpu", tags=("team=vision",))
    book.in_state(State.HELD)
    for state, code in ((State.FAILED, 3), (State.SUCCEEDED, 0)):
        run = book.add(str(state), priority=book.get(1).priority, queue=str(state))
        claimed = next(one for one in book.claim(jobs=1, serves=[str(state)]) if one.id == run.id)
        book.finish(claimed, code=code)
    return book


def ids(store: Store, folder: Folder, selection: Selection, fitting: Sequence[State] = WAITING) -> list[int]:
    return [run.id for run in selected(store, folder, selection, fitting)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), []),
        (Selection(is_all=True), [1, 2, 3, 4, 5, 6]),
        (Selection(["2-5"]), [2, 3, 4, 5]),
        (Selection(["5-99", "1"]), [1, 5, 6]),
        (Selection(["7"]), [7]),
        (Selection(["7", "1"], states=[State.QUEUED]), [1]),
        (Selection(is_all=True, states=[State.HELD]), [6]),
        (Selection(is_all=True, states=[State.FAILED]), []),
        (Selection(is_all=True, queue="gpu"), [4, 5]),
        (Selection(["1-4"], queue="gpu"), [4]),
        (Selection(group="sweep"), [1, 2, 3]),
        (Selection(["4-5"], group="sweep"), [1, 2, 3, 4, 5]),
        (Selection(["tagged"], group="sweep", queue="lane"), [1, 2, 3]),
        (Selection(is_all=True, tag="team"), [5]),
        (Selection(is_all=True, tag="team=vision", queue="lane"), []),
    ],
)
def test_names_and_groups_are_united_and_conditions_narrow_them(
    folder: Folder, book: Book, selection: Selection, expected: list[int]
) -> None:
    assert ids(book.store, folder, selection) == expected


@pytest.mark.parametrize(
    ("selection", "error", "message", "hint"),
    [
        (Selection(["40-50"]), RunError, "there are no runs 40-50", "lists the runs"),
        (Selection(["5-2"]), UsageError, "the range 5-2 runs backwards", "write 2-5"),
        (Selection(group="sweeep"), RunError, "there is no group sweeep", "did you mean sweep?"),
        (Selection(is_all=True, queue="gpuu"), QueueError, "there is no queue gpuu", "did you mean gpu?"),
        (Selection(is_all=True, queue="night"), QueueError, "there is no queue night", "`aqueue status`"),
        (Selection(is_all=True, tag="teem"), RunError, "no run has the tag teem", "did you mean team?"),
        (Selection(["1", "nobody"]), RunError, "there is no run 'nobody'", "lists the runs"),
    ],
)
def test_what_does_not_exist_is_an_error_with_the_name_that_was_meant(
    folder: Folder, book: Book, selection: Selection, error: type[AqueueError], message: str, hint: str
) -> None:
    with pytest.raises(error) as raised:
        selected(book.store, folder, selection, WAITING)
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_a_configured_queue_without_runs_exists(folder: Folder, book: Book) -> None:
    folder.config.write_text("queues: {config: [{name: night, max_concurrency: 1}]}\n")
    assert ids(book.store, folder, Selection(is_all=True, queue="night")) == []


def test_only_the_newest_run_of_each_name_of_a_group_is_retried(folder: Folder, book: Book) -> None:
    again = book.add("t-1", queue="lane", group="sweep")
    newest = selected(book.store, folder, Selection(group="sweep"), WAITING, only_newest=True)
    assert [run.id for run in newest] == [2, 3, again.id]


def test_ranges_stand_among_names_wherever_runs_are_given(book: Book) -> None:
    assert [run.id for run in resolve_all(book.store, ["plain", "1-2", "2"])] == [4, 1, 2]


def running(book: Book, count: int) -> None:
    for number in range(count):
        book.add(f"r-{number}")
    assert len(book.claim(jobs=count)) == count


def cancel_on_a_terminal(folder: Folder, answer: str, *words: str) -> tuple[int, str]:
    """Run `aqueue cancel` as a person would, and return its exit code and what was on the terminal."""
    main, side = pty.openpty()
    program = [sys.executable, "-m", "aqueue", "--dir", str(folder.path), "cancel", *words]
    process = subprocess.Popen(program, stdin=side, stdout=side, stderr=side, start_new_session=True)
    os.close(side)
    os.write(main, answer.encode())
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:
        # Linux reports the end of the other side like this.
        pass
    os.close(main)
    return process.wait(), shown.decode()


def test_a_person_is_asked_before_many_running_runs_are_stopped(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    book = Book(connection)
    running(book, 6)
    book.in_state(State.HELD)
    code, shown = cancel_on_a_terminal(folder, "n\n", "--all")
    assert code == 1
    assert "stop 6 running runs and cancel 1 other?" in shown
    assert "nothing was changed" in shown
    assert book.get(1).cancel is book.get(7).cancel is None
    code, shown = cancel_on_a_terminal(folder, "", "1-2")
    assert (code, "?" in shown) == (0, False)
    code, shown = cancel_on_a_terminal(folder, "y\n", "--all")
    assert code == 0
    assert "cancelled 7 runs: 7 task" in shown or "cancelled 7 runs: 1 r-0" in shown
    assert book.get(6).cancel == "cancelled"
    assert book.get(7).state is State.ABORTED


def test_a_script_is_never_asked(folder: Folder, connection: sqlite3.Connection) -> None:
    running(Book(connection), 6)
    program = [sys.executable, "-m", "aqueue", "--dir", str(folder.path), "cancel", "--running"]
    done = subprocess.run(
        program, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "cancelled 6 runs: 1 r-0, 2 r-1, 3 r-2, 4 r-3, 5 r-4 and 1 more\n"


def test_prune_removes_what_is_chosen_however_young_and_nothing_else(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    book = Book(connection)
    old, failed, done, waits = (
        book.in_state(state) for state in (State.FAILED, State.FAILED, State.SUCCEEDED, State.QUEUED)
    )
    connection.execute("UPDATE runs SET finished_at = 1 WHERE id = ?", (old.id,))
    warnings: list[str] = []
    with pytest.raises(RunError, match=f"run {waits.id} cannot be pruned: it is queued; nothing was changed"):
        prune(folder, None, warnings.append, Selection([str(done.id), str(waits.id)]))
    assert prune(folder, 3600.0, warnings.append, Selection(is_all=True, states=[State.FAILED])).runs == 1
    assert [run.id for run in book.store.runs.select()] == [failed.id, done.id, waits.id]
    assert prune(folder, None, warnings.append, Selection([f"1-{waits.id}"], states=[State.FAILED])).runs == 1
    assert prune(folder, None, warnings.append, Selection(is_all=True)).runs == 1
    assert [run.id for run in book.store.runs.select()] == [waits.id]
    assert prune(folder, None, warnings.append, Selection()).runs == 0
    assert warnings == []
