"""The resources that a real attempt used."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from aqueue.clock import Clock
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.executors.local.usage import count_oom_kills, read_oom_kills
from aqueue.folder.layout import Folder
from aqueue.model.outcome import Outcome
from aqueue.model.run import Run, Usage
from tests.integration.recording import claimed
from tests.waiting import eventually_async

LARGE = 400 << 20


def runner_of(run: Run, folder: Folder) -> Runner:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Runner(run, folder, Clock(), ProcessSettings({"PATH": path}, grace=0.2))


async def outcome_of(connection: sqlite3.Connection, folder: Folder, command: str | tuple[str, ...]) -> Outcome:
    runner = runner_of(claimed(connection, folder, command=command), folder)
    runner.launch()
    return await runner.wait()


async def test_the_memory_and_the_cpu_time_of_a_command_are_measured(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    work = f"import time; x = bytearray({LARGE})\nwhile time.process_time() < 0.1: pass"
    usage = (await outcome_of(connection, folder, ("python3", "-c", work))).usage
    assert usage.peak_memory is not None
    assert LARGE <= usage.peak_memory < 2 * LARGE
    assert usage.cpu_seconds is not None
    assert 0.1 <= usage.cpu_seconds < 30
    assert usage.python == str(Path(sys.executable).parent / "python3")


async def test_the_memory_of_a_command_smaller_than_its_server_is_unknown(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    usage = (await outcome_of(connection, folder, "exit 1")).usage
    assert (usage.peak_memory, usage.python) == (None, None)


async def test_kills_for_lack_of_memory_are_not_counted_if_it_succeeded(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    assert (await outcome_of(connection, folder, "true")).usage.oom_kills is None


async def test_kills_for_lack_of_memory_are_counted_while_an_attempt_runs_that_fails(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    before = read_oom_kills()
    usage = (await outcome_of(connection, folder, "exit 1")).usage
    after = read_oom_kills()
    for kills, first, last in zip((usage.oom_kills, usage.oom_kills_in_group), before, after, strict=True):
        if kills is None or first is None or last is None:
            assert (kills, first, last) == (None, None, None)
        else:
            assert 0 <= kills <= last - first


async def test_nothing_is_said_of_an_attempt_whose_wrapper_was_killed_before_it_waited_for_its_command(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    run = claimed(connection, folder, command="trap '' TERM; while :; do sleep 0.01; done")
    runner = runner_of(run, folder)
    runner.launch()
    await eventually_async(lambda: Path(folder.attempt(run.id, 1) + ".pid").exists())
    runner.stop("cancelled")
    usage = (await runner.wait()).usage
    assert (usage.cpu_seconds, usage.peak_memory) == (None, None)


async def test_nothing_is_said_of_an_adopted_attempt(folder: Folder, connection: sqlite3.Connection) -> None:
    run = claimed(connection, folder, command="exit 1")
    first = runner_of(run, folder)
    first.launch()
    await first.wait()
    assert (await runner_of(run, folder).adopt("")).usage == Usage()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("low 0\nhigh 3\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n", 1),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n", 12),
        ("nr_pages 1\n" * 1000 + "oom_kill 7\n", 7),
        ("oom_kill_disable 0\n", None),
        ("", None),
    ],
)
def test_the_counter_is_found_in_each_of_the_files_that_have_one(
    tmp_path: Path, text: str, expected: int | None
) -> None:
    file = tmp_path / "counters"
    file.write_text(text)
    assert count_oom_kills(str(file)) == expected
    assert count_oom_kills(str(tmp_path / "none")) is None
