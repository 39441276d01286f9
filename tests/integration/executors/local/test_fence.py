"""The fence: an attempt runs once or never, and is found again by whoever comes later."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.executors.attempt_files import Fence, close_fence, read_fence
from aqueue.executors.local.attempt_locks import HeldError
from aqueue.executors.local.process import Process, find
from aqueue.executors.local.process_table import read
from aqueue.executors.local.procfs import command_pid, group_has_members
from aqueue.executors.local.wrapper import FENCED
from aqueue.processes import is_alive
from tests.integration.attempts import Attempts
from tests.waiting import eventually


async def test_the_fence_names_the_wrapper_and_later_the_exit_code(attempts: Attempts) -> None:
    path = attempts.path()
    assert read_fence(path) is None
    started = attempts.start("echo ready; sleep 300", path=path)
    started.says("ready")
    assert (started.fence.pid, started.fence.exit_code) == (started.pid, None)
    started.signal(signal.SIGTERM)
    await started.ends()
    assert (started.fence.pid, started.fence.exit_code) == (started.pid, 128 + signal.SIGTERM)


@pytest.mark.parametrize(
    ("content", "pid", "code"),
    [("", None, None), ("12", None, None), ("12\n", 12, None), ("12\n1", 12, None), ("12\n15\n", 12, 15)],
)
def test_a_line_of_the_fence_that_is_not_whole_does_not_count(
    attempts: Attempts, content: str, pid: int | None, code: int | None
) -> None:
    Path(attempts.path() + ".pid").write_text(content)
    fence = read_fence(attempts.path())
    assert fence is not None
    assert (fence.pid, fence.exit_code) == (pid, code)


async def test_an_attempt_that_is_started_twice_runs_once(attempts: Attempts) -> None:
    first = attempts.start("echo ran; sleep 0.1; exit 4")
    with pytest.raises(HeldError):
        attempts.start("echo ran")
    assert await first.ends() == 4
    assert first.output == "ran\n"


async def test_an_attempt_without_a_lock_that_is_started_twice_runs_once(attempts: Attempts) -> None:
    first = attempts.start("echo ran; sleep 0.1; exit 4")
    # As a file system that has no such locks, or somebody who removes what is empty.
    Path(first.path + ".lock").unlink()
    second = attempts.start("echo ran; exit 4")
    assert {await first.ends(), await second.ends()} == {4, FENCED}
    assert first.output == "ran\n"


async def test_an_attempt_that_is_over_is_not_run_again(attempts: Attempts) -> None:
    first = attempts.start("echo ran; exit 4")
    assert await first.ends() == 4
    again = attempts.start("echo ran again")
    assert await again.ends() == 123
    assert first.output == "ran\n"
    assert first.fence == again.fence


async def test_a_closed_fence_lets_nothing_run(attempts: Attempts) -> None:
    assert close_fence(attempts.path())
    started = attempts.start("echo ran")
    assert await started.ends() == 123
    assert started.output == ""


async def test_a_fence_cannot_be_closed_behind_an_attempt(attempts: Attempts) -> None:
    started = attempts.start("exit 4")
    await started.ends()
    assert not close_fence(started.path)
    assert started.fence.exit_code == 4


def test_without_a_run_directory_nothing_runs(attempts: Attempts, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "gone" / "attempt-1")
    with pytest.raises(FileNotFoundError):
        attempts.start(f"touch {tmp_path}/ran", path=nowhere)
    assert not (tmp_path / "ran").exists()


async def test_a_living_attempt_is_found_and_can_be_waited_for(attempts: Attempts, tmp_path: Path) -> None:
    started = attempts.start_and_die("echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 9")
    started.says("ready")
    found = find(started.path, started.fence)
    assert found is not None
    with found:
        assert found.pid == started.pid
        (tmp_path / "go").touch()
        assert await found.wait() is None
    assert started.fence.exit_code == 9


def test_a_living_attempt_is_found_before_its_pid_is_written(attempts: Attempts) -> None:
    started = attempts.start("echo ready; sleep 300")
    started.says("ready")
    with found(started.path, Fence(None, None)) as process:
        assert process.pid == started.pid


async def test_an_attempt_that_is_over_is_not_found(attempts: Attempts) -> None:
    started = attempts.start("exit 4")
    await started.ends()
    assert find(started.path, started.fence) is None
    assert find(started.path, Fence(None, None)) is None


def test_a_process_that_nobody_has_reaped_yet_is_over(attempts: Attempts) -> None:
    started = attempts.start("exit 4")
    eventually(lambda: os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT))
    assert find(started.path, started.fence) is None
    assert not is_alive(started.pid)
    assert not group_has_members(started.pid)


def test_a_process_is_not_recognised_by_its_pid_alone(attempts: Attempts, stranger: int) -> None:
    assert find(attempts.path(), Fence(stranger, None)) is None


def test_an_attempt_is_not_taken_for_another(attempts: Attempts) -> None:
    started = attempts.start("echo ready; sleep 300", path=attempts.path(run=1, attempt=10))
    started.says("ready")
    assert find(attempts.path(run=1, attempt=1), Fence(started.pid, None)) is None
    assert find(attempts.path(run=1, attempt=1), Fence(None, None)) is None


def test_a_process_is_not_recognised_by_its_command_line_alone(attempts: Attempts, stranger: int) -> None:
    started = attempts.start("echo ready; sleep 300")
    started.says("ready")
    assert find(started.path, Fence(stranger, None)) is None


def test_what_the_wrapper_forked_is_not_taken_for_it(attempts: Attempts) -> None:
    # A subshell has the command line of the shell that it came from.
    started = attempts.start("echo ready; while :; do sleep 0.1; done")
    started.says("ready")
    child = eventually(lambda: pid if (pid := command_pid(started.pid)) != started.pid else None)
    assert find(started.path, Fence(child, None)) is None


def test_the_pid_of_the_command_is_the_one_that_it_knows(attempts: Attempts) -> None:
    started = attempts.start(["sh", "-c", "echo $$; exec sleep 300"])
    started.says("\n")
    assert command_pid(started.pid) == int(started.output)


def test_a_process_is_known_by_the_attempt_in_its_environment(attempts: Attempts) -> None:
    directory = attempts.path().rpartition("/")[0]
    environment = {"AQUEUE_RUN_DIR": directory, "AQUEUE_ATTEMPT": "1"}
    started = attempts.start("echo ready; sleep 300", environment=environment)
    started.says("ready")
    assert started.pid in read().heirs(attempts.path())
    assert started.pid not in read().heirs(attempts.path(run=11))
    assert started.pid not in read().heirs(attempts.path(attempt=2))
    assert started.pid not in read().heirs("/q/1/attempt-1")


@contextlib.contextmanager
def found(path: str, fence: Fence) -> Iterator[Process]:
    process = find(path, fence)
    assert process is not None
    with process:
        yield process


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a process that is none of ours."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as process:
        yield process.pid
        process.kill()
