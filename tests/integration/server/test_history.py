"""The history that a server keeps short by itself."""

import os
import sqlite3
import time

import anyio
import pytest

from aqueue.clock import Clock
from aqueue.folder.layout import Folder
from aqueue.model.events import Event, Notice
from aqueue.model.run import State
from aqueue.server.history import History
from aqueue.store.history import take_daily_turn
from tests.integration.recording import NOW, Book

DAY = 86400.0

pytestmark = pytest.mark.anyio


class At(Clock):
    """A clock that stands still."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def history_at(folder: Folder, now: float, said: list[Event], keep: float = 30 * DAY) -> History:
    return History(folder, lambda: keep, At(now), lambda *events: said.extend(events))


async def test_old_runs_and_logs_go_and_young_ones_stay(folder: Folder, connection: sqlite3.Connection) -> None:
    book, said = Book(connection), list[Event]()
    old, young, waits = (book.in_state(state) for state in (State.FAILED, State.SUCCEEDED, State.HELD))
    connection.execute("UPDATE runs SET finished_at = ? WHERE id = ?", (NOW - 31 * DAY, old.id))
    folder.run_dir(old.id).mkdir(parents=True)
    folder.logs.mkdir()
    for name, age in (("old", 31), ("young", 29), ("used", 40)):
        log = folder.logs / f"server-{name}.log"
        log.touch()
        os.utime(log, (NOW - age * DAY, NOW - age * DAY))
    book.enter("living", log=str(folder.logs / "server-used.log"))
    await history_at(folder, NOW, said).shorten()
    assert [run.id for run in book.store.runs.select()] == [young.id, waits.id]
    assert not folder.run_dir(old.id).exists()
    assert sorted(path.name for path in folder.logs.iterdir()) == ["server-used.log", "server-young.log"]
    assert said == [Notice("1 run deleted that ended more than 30d ago")]


async def test_it_is_done_once_a_day_whoever_does_it(folder: Folder, connection: sqlite3.Connection) -> None:
    book, said = Book(connection), list[Event]()
    for at, left in ((0.0, 0), (0.9 * DAY, 1), (1.1 * DAY, 0), (1.2 * DAY, 1)):
        book.in_state(State.FAILED)
        connection.execute("UPDATE runs SET finished_at = ?", (NOW - 40 * DAY,))
        await history_at(folder, NOW + at, said).shorten()
        assert book.store.runs.count() == left
        connection.execute("DELETE FROM runs")


def test_a_turn_in_the_future_counts_for_nothing(folder: Folder, connection: sqlite3.Connection) -> None:
    assert take_daily_turn(connection, folder, NOW + 400 * DAY)
    assert take_daily_turn(connection, folder, NOW)
    assert not take_daily_turn(connection, folder, NOW + 1)


async def test_a_server_that_leaves_does_not_wait_for_it(folder: Folder, connection: sqlite3.Connection) -> None:
    book = Book(connection)
    book.in_state(State.SUCCEEDED)
    connection.execute("UPDATE runs SET finished_at = ?", (NOW - 40 * DAY,))
    connection.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(history_at(folder, NOW, []).shorten)
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert time.monotonic() - begun < 2.0
    connection.execute("ROLLBACK")
