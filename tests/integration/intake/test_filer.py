"""Claimed files are filed away while runs go on; when a server is killed, nothing is lost or taken twice."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aqueue.errors import DiskFullError
from aqueue.folder.layout import Folder
from aqueue.intake import filer
from aqueue.intake.filer import Filer
from aqueue.store.database import connect
from aqueue.store.store import Store
from aqueue.threads import in_thread
from tests.integration.accepting import accept_requests
from tests.integration.dropping import Taker
from tests.integration.recording import NOW
from tests.waiting import eventually_async


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filer, "_DELAY", 0.0)


@asynccontextmanager
async def filing(folder: Folder, taker: Taker) -> AsyncIterator[Filer]:
    filer = Filer(folder, taker.inbox.claimed_files)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(filer.run)
        yield filer
        tasks.cancel_scope.cancel()


def take(folder: Folder, taker: Taker, count: int) -> dict[str, list[int]]:
    """Have files claimed; returns a run for each, by its name in `incoming/`."""
    for number in range(count):
        (folder.path / f"{number:03}.yaml").write_text("command: 'true'\n")
    taker.settle()
    return {file.name: [number] for number, file in enumerate(taker.taken, 1)}


async def test_what_is_in_the_store_is_filed_away_slice_by_slice(folder: Folder, taker: Taker) -> None:
    runs = await in_thread(lambda: take(folder, taker, filer._SLICE * 2 + 1))
    unknown = list(runs)[7]
    taker.runs.update({name: ids for name, ids in runs.items() if name != unknown})
    async with filing(folder, taker) as it:
        it.wake()
        await eventually_async(lambda: os.listdir(folder.incoming) == [unknown])
        assert len(os.listdir(folder.runs)) == len(runs) - 1
        taker.runs[unknown] = runs[unknown]
        it.wake()
        await eventually_async(lambda: os.listdir(folder.incoming) == [])
    assert all((folder.run_dir(id_) / "task.yaml").exists() for (id_,) in runs.values())


async def test_what_is_left_when_the_server_leaves_is_filed_away_first(folder: Folder, taker: Taker) -> None:
    runs = await in_thread(lambda: take(folder, taker, filer._SLICE + 1))
    async with filing(folder, taker):
        taker.runs.update(runs)
    assert os.listdir(folder.incoming) == []


async def test_what_cannot_be_filed_away_now_is_filed_away_later(folder: Folder, taker: Taker) -> None:
    runs, asked = await in_thread(lambda: take(folder, taker, 1)), list[Sequence[str]]()

    def refuse(names: Sequence[str]) -> Mapping[str, Sequence[int]]:
        asked.append(names)
        raise DiskFullError("the disk is full", "")

    taker.runs_of = refuse
    async with filing(folder, taker) as it:
        it.wake()
        await eventually_async(lambda: asked)
        assert os.listdir(folder.incoming) == list(runs)
        taker.runs_of = lambda _: runs
        it.wake()
        await eventually_async(lambda: os.listdir(folder.incoming) == [])


def test_what_was_read_is_remembered_only_of_the_last_files(
    folder: Folder, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqueue.intake.claimed_files._MAX_RECENT", 2000)
    runs = take(folder, taker, 10)
    taker.runs.update(runs)
    claimed_files = taker.inbox.claimed_files
    claimed_files.remember(taker.taken)
    for name in runs:
        (folder.incoming / name).write_text("command: changed\n")
    claimed_files.file_away(list(runs))
    # Each is taken as a new file, in any case.
    assert len(list(folder.path.glob("*.yaml"))) == 10
    assert sorted(os.listdir(folder.runs), key=int) == ["8", "9", "10"]
    assert {path.read_text() for path in folder.runs.glob("*/task.yaml")} == {"command: 'true'\n"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_server_killed_between_any_two_steps_leaves_each_task_to_become_one_run(
    tmp_path: Path, new_taker: Callable[[], Taker]
) -> None:
    command = [sys.executable, "-m", "tests.integration.intake.dying", str(tmp_path)]
    died = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    # Reading, claiming, a directory for each of three runs, and moving, at least.
    assert died > 10
    for number in range(died + 1):
        folder = Folder(tmp_path / str(number))
        with contextlib.closing(connect(folder)) as connection:
            inherit(folder, connection)
            runs = Store(connection).runs.select()
        found = sorted((run.name, run.queue) for run in runs)
        assert found == [("other", "gpu"), ("x", "x"), ("y", "gpu")], number
        assert all((folder.run_dir(run.id) / "task.yaml").exists() for run in runs), number
        assert os.listdir(folder.incoming) == [], number
        assert sorted(os.listdir(folder.path)) == [".aqueue", "gpu"], number
        assert os.listdir(folder.path / "gpu") == [], number


def inherit(folder: Folder, connection: sqlite3.Connection) -> None:
    """Do what the next server does with a folder."""
    store, taker = Store(connection), Taker(folder)
    taker.runs_of = store.runs.of_files
    left = list(taker.inbox.claimed_files.recover(store.runs.last_id))
    taker.settle()
    for file in (*left, *taker.taken):
        accept_requests(store, file.name, file.requests, NOW)
    taker.inbox.claimed_files.file_away(os.listdir(folder.incoming))
