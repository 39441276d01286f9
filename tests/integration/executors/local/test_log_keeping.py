"""A log with a limit: during its run, at its end, and under the next server."""

import asyncio
import ctypes
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.clock import Clock, boot
from aqueue.executors.command import arguments, environment
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.events import Event, Notice
from aqueue.model.outcome import End, Outcome
from tests.integration.attempts import Attempts
from tests.integration.holes import skip_without_holes, taken
from tests.integration.recording import claimed
from tests.waiting import eventually, eventually_async

LIMIT = 64 << 10
FLOOD = "seq -f 'line %g of many' 50000"


class Life:
    """A run with a limit that was claimed just now, and its runner."""

    def __init__(self, connection: sqlite3.Connection, folder: Folder, command: str) -> None:
        self.run = claimed(connection, folder, command=command, log_limit=LIMIT)
        self.log = folder.log(self.run.id, self.run.attempt)
        self.told: list[Event] = []
        self.variables = {"PATH": os.environ["PATH"]}
        self.runner = Runner(self.run, folder, Clock(), ProcessSettings(self.variables, 1.0), report=self._report)

    def _report(self, *events: Event) -> None:
        self.told += events

    async def ends(self) -> Outcome:
        self.runner.launch()
        return await self.runner.wait()

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    async def gives_back(self) -> None:
        await eventually_async(lambda: " left out here so far" in self.output)
        await eventually_async(lambda: taken(self.log) <= LIMIT + 8192)


@pytest.fixture
def new_life(folder: Folder, connection: sqlite3.Connection) -> Callable[[str], Life]:
    return lambda command: Life(connection, folder, command)


NewLife = Callable[[str], Life]


def until(path: Path) -> str:
    return f"until [ -e {path} ]; do sleep 0.02; done"


async def test_once_a_run_is_over_its_log_has_head_and_tail_and_a_line_between_them(new_life: NewLife) -> None:
    life = new_life(f"echo AQUEUE_METRIC a=1; {FLOOD}; echo AQUEUE_METRIC b=2")
    outcome = await life.ends()
    assert outcome.metrics == {"a": 1, "b": 2}
    assert life.log.stat().st_size <= LIMIT
    before, line, after = re.split(r"(\[aqueue: .* left out here, .*\]\n)", life.output)
    assert before.startswith("AQUEUE_METRIC a=1\nline 1 of many\nline 2 of many\n")
    assert after.endswith("line 50000 of many\nAQUEUE_METRIC b=2\n")
    assert line.endswith("log.limit is 64 KiB]\n")
    assert all(re.fullmatch(r"line \d+ of many", text) for text in (before + after).splitlines()[1:-1])


async def test_a_log_gives_its_middle_back_while_the_run_goes_on(new_life: NewLife, tmp_path: Path) -> None:
    skip_without_holes(tmp_path)
    life = new_life(f"{FLOOD}; {until(tmp_path / 'go')}; echo end")
    ending = asyncio.create_task(life.ends())
    await life.gives_back()
    (tmp_path / "go").touch()
    assert (await ending).exit_code == 0
    assert life.log.stat().st_size <= LIMIT
    assert life.output.endswith("line 50000 of many\nend\n")


async def test_the_next_server_goes_on_with_the_log(
    new_life: NewLife, folder: Folder, attempts: Attempts, tmp_path: Path
) -> None:
    skip_without_holes(tmp_path)
    life = new_life(f"{FLOOD}; {until(tmp_path / 'go')}; echo end")
    folder.make_run_dir(life.run.id)
    task = life.run.task
    variables = environment(life.run, life.variables, folder, task.working_dir)
    path = folder.attempt(life.run.id, life.run.attempt)
    attempts.start_and_die(arguments(task, variables), path=path, environment=variables).says("50000 of many")
    assert taken(life.log) > 10 * LIMIT
    adopting = asyncio.create_task(life.runner.adopt(boot()))
    await life.gives_back()
    (tmp_path / "go").touch()
    assert (await adopting).exit_code == 0
    assert life.log.stat().st_size <= LIMIT
    assert life.output.endswith("line 50000 of many\nend\n")


async def test_a_run_that_is_stopped_has_its_log_cut_too(new_life: NewLife) -> None:
    life = new_life(f"{FLOOD}; echo ready; sleep 60")
    ending = asyncio.create_task(life.ends())
    await eventually_async(lambda: life.output.endswith("ready\n"))
    life.runner.stop("enough")
    assert (await ending).end is End.STOPPED
    assert life.log.stat().st_size <= LIMIT
    assert life.output.endswith("line 50000 of many\nready\n")


async def test_what_an_attempt_has_left_behind_can_go_on_writing(new_life: NewLife, tmp_path: Path) -> None:
    late = f"{until(tmp_path / 'go')}; echo late; touch {tmp_path}/done"
    life = new_life(f'{FLOOD}; setsid sh -c "{late}" & sleep 0.1')
    assert (await life.ends()).exit_code == 0
    (tmp_path / "go").touch()
    eventually((tmp_path / "done").exists)
    assert life.output.endswith("late\n")


async def test_a_log_that_cannot_have_holes_is_left_alone_until_the_run_is_over(
    new_life: NewLife, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a system whose C library knows no holes.
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    life = new_life(f"{FLOOD}; {until(tmp_path / 'go')}")
    ending = asyncio.create_task(life.ends())
    await eventually_async(lambda: life.told)
    assert "left out" not in life.output
    (tmp_path / "go").touch()
    await ending
    (told,) = life.told
    assert isinstance(told, Notice)
    assert told.text.startswith(f"run {life.run.id} has a log.limit, but this file system cannot")
    assert life.log.stat().st_size <= LIMIT
