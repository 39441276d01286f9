"""Nothing that is put in the place of an attempt's files makes a server write to, or wait for, something else."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.clock import Clock, boot
from aqueue.executors import attempt_files, long_logs
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.processes import is_alive
from tests.integration.attempts import Attempts
from tests.integration.recording import claimed
from tests.waiting import eventually, eventually_async

MINE = "something of the user's\n"
UNTIL_GO = "echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 7"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file that is none of aqueue's."""
    mine = tmp_path / "mine"
    mine.write_text(MINE)
    return mine


def launched(connection: sqlite3.Connection, folder: Folder, command: str, suffix: str, target: Path) -> Runner:
    """Have an attempt begin where there is a link already."""
    run = claimed(connection, folder, command=command)
    folder.make_run_dir(run.id)
    Path(folder.attempt(run.id, run.attempt) + suffix).symlink_to(target)
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert runner.launch()
    return runner


@pytest.mark.parametrize("suffix", [".log", ".pid", ".lock", ".metrics.json"])
async def test_an_attempt_writes_to_files_of_its_own_where_there_were_links(
    folder: Folder, connection: sqlite3.Connection, mine: Path, suffix: str
) -> None:
    runner = launched(connection, folder, "echo ready; echo '{\"loss\": 1}' >metrics.json", suffix, mine)
    outcome = await runner.wait()
    assert (outcome.end, outcome.exit_code, outcome.metrics) == (End.EXITED, 0, {"loss": 1})
    assert mine.read_text() == MINE
    assert folder.log(outcome.run.id, 1).read_text() == "ready\n"


async def test_an_attempt_writes_to_a_directory_of_its_own_where_there_was_a_link(
    folder: Folder, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run = claimed(connection, folder, command="echo ready")
    folder.run_dir(run.id).symlink_to(other)
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert runner.launch()
    assert (await runner.wait()).end is End.EXITED
    assert list(other.iterdir()) == []
    assert folder.log(run.id, 1).read_text() == "ready\n"


@pytest.mark.parametrize("suffix", [".log", ".pid", ".metrics.json"])
async def test_what_is_written_at_the_end_of_an_attempt_goes_to_no_other_file(
    folder: Folder, connection: sqlite3.Connection, mine: Path, suffix: str
) -> None:
    command = f'echo \'{{"x": []}}\' >metrics.json; ln -sf "$PWD/mine" "$AQUEUE_RUN_DIR/attempt-1{suffix}"; exit 7'
    run = claimed(connection, folder, command=command)
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    runner.shares_directory = True
    assert runner.launch()
    outcome = await runner.wait()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert mine.read_text() == MINE


async def test_what_is_written_at_the_end_of_an_attempt_goes_to_no_other_directory(
    folder: Folder, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    files = [other / f"attempt-1{suffix}" for suffix in (".log", ".pid", ".metrics.json")]
    for file in files:
        file.write_text(MINE)
    command = 'echo \'{"x": 1}\' >metrics.json; mv $AQUEUE_RUN_DIR was; ln -s "$PWD/other" $AQUEUE_RUN_DIR; exit 7'
    run = claimed(connection, folder, command=command)
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert runner.launch()
    outcome = await runner.wait()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert [file.read_text() for file in files] == [MINE] * 3
    assert len(list(other.iterdir())) == 3
    with pytest.raises(OSError, match="symbolic links"):
        list(long_logs.read(folder.log(run.id, 1), 0, None))


def test_a_log_that_is_a_link_is_not_read(folder: Folder, mine: Path) -> None:
    folder.make_run_dir(1)
    log = folder.log(1, 1)
    log.symlink_to(mine)
    with pytest.raises(OSError, match="symbolic links"):
        list(long_logs.read(log, 0, None))


def _as_link(fence: Path, mine: Path) -> None:
    fence.symlink_to(mine)


def _as_directory(fence: Path, mine: Path) -> None:
    fence.mkdir()
    (fence / "file").touch()


def _as_fifo(fence: Path, mine: Path) -> None:
    os.mkfifo(fence)


@pytest.mark.parametrize("put", [_as_link, _as_directory, _as_fifo])
@pytest.mark.parametrize("has_lock", [True, False])
async def test_an_attempt_is_seen_through_whatever_is_in_the_place_of_its_fence(
    folder: Folder,
    connection: sqlite3.Connection,
    attempts: Attempts,
    mine: Path,
    put: Callable[[Path, Path], None],
    has_lock: bool,
) -> None:
    run = claimed(connection, folder, command=UNTIL_GO)
    path = attempts.path(run.id, run.attempt)
    started = attempts.start_and_die(UNTIL_GO, path=path)
    started.says("ready")
    fence = Path(path + ".pid")
    fence.unlink()
    put(fence, mine)
    if not has_lock:
        Path(path + ".lock").unlink()
    adopting = asyncio.create_task(Runner(run, folder, Clock(), ProcessSettings({}, 1.0)).adopt(boot()))
    await eventually_async(lambda: attempt_files.read_fence(path) == attempt_files.Fence(started.pid, None))
    (mine.parent / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert mine.read_text() == MINE


@pytest.mark.parametrize("put", [_as_link, _as_directory, _as_fifo])
async def test_an_attempt_is_seen_through_whatever_is_in_the_place_of_its_lock(
    folder: Folder,
    connection: sqlite3.Connection,
    attempts: Attempts,
    mine: Path,
    put: Callable[[Path, Path], None],
) -> None:
    run = claimed(connection, folder, command=UNTIL_GO)
    path = attempts.path(run.id, run.attempt)
    attempts.start_and_die(UNTIL_GO, path=path).says("ready")
    lock = Path(path + ".lock")
    lock.unlink()
    put(lock, mine)
    adopting = asyncio.create_task(Runner(run, folder, Clock(), ProcessSettings({}, 1.0)).adopt(boot()))
    done, _ = await asyncio.wait([adopting], timeout=0.3)
    assert not done
    (mine.parent / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert mine.read_text() == MINE


@pytest.mark.parametrize("put", [_as_link, _as_directory, _as_fifo])
async def test_what_has_put_something_in_the_place_of_its_lock_is_ended_before_its_run_is_lost(
    folder: Folder,
    connection: sqlite3.Connection,
    attempts: Attempts,
    mine: Path,
    put: Callable[[Path, Path], None],
) -> None:
    run = claimed(connection, folder, command=UNTIL_GO)
    path = attempts.path(run.id, run.attempt)
    started = attempts.start_and_die(["env", "-i", "sh", "-c", "echo $$; exec sleep 300"], path=path)
    started.says("\n")
    lock = Path(path + ".lock")
    lock.unlink()
    put(lock, mine)
    os.kill(started.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(started.pid))
    assert (await Runner(run, folder, Clock(), ProcessSettings({}, 1.0)).adopt(boot())).end is End.LOST
    assert not is_alive(int(started.output))


async def test_an_attempt_that_ended_with_a_directory_for_its_fence_is_lost_and_told_why(
    folder: Folder, connection: sqlite3.Connection, attempts: Attempts
) -> None:
    run = claimed(connection, folder, command=UNTIL_GO)
    path = attempts.path(run.id, run.attempt)
    started = attempts.start_and_die(UNTIL_GO, path=path)
    started.says("ready")
    Path(path + ".pid").unlink()
    Path(path + ".pid").mkdir()
    started.signal(signal.SIGKILL)
    eventually(lambda: not is_alive(started.pid))
    outcome = await Runner(run, folder, Clock(), ProcessSettings({}, 1.0)).adopt(boot())
    assert outcome.end is End.LOST
    assert "changed" in outcome.why


async def test_a_line_that_a_command_writes_into_its_fence_is_not_taken_for_its_exit_code(
    folder: Folder, connection: sqlite3.Connection, attempts: Attempts, tmp_path: Path
) -> None:
    run = claimed(connection, folder, command=UNTIL_GO)
    path = attempts.path(run.id, run.attempt)
    started = attempts.start_and_die(f"echo 0 >>{path}.pid; {UNTIL_GO}", path=path)
    started.says("ready")
    adopting = asyncio.create_task(Runner(run, folder, Clock(), ProcessSettings({}, 1.0)).adopt(boot()))
    done, _ = await asyncio.wait([adopting], timeout=0.2)
    assert not done
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
