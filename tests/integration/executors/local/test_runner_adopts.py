"""A runner adopts an attempt of a server that is gone: never started, alive, over, or lost."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aqueue.clock import Clock, boot
from aqueue.executors.command import arguments, environment
from aqueue.executors.local.procfs import command_pid, group_has_members
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.executors.local.wrapper import FENCED
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.model.run import Run
from aqueue.processes import is_alive
from tests.integration.attempts import Attempts, Started
from tests.integration.recording import claimed
from tests.waiting import eventually, eventually_async


class Legacy:
    """A run that a server had claimed before it died."""

    def __init__(self, run: Run, folder: Folder, attempts: Attempts) -> None:
        self.run = run
        self.path = folder.attempt(run.id, run.attempt)
        self.heir = Runner(run, folder, Clock(), ProcessSettings({}, 1.0))
        self._folder = folder
        self._attempts = attempts

    def had_started(self) -> Started:
        """Have its server start it, and die."""
        self._folder.make_run_dir(self.run.id)
        task = self.run.task
        variables = environment(self.run, {}, self._folder, task.working_dir)
        return self._attempts.start_and_die(arguments(task, variables), path=self.path, environment=variables)

    def had_fence(self, content: str) -> None:
        self._folder.make_run_dir(self.run.id)
        Path(self.path + ".pid").write_text(content)


NewLegacy = Callable[..., Legacy]


@pytest.fixture
def new_legacy(folder: Folder, connection: sqlite3.Connection, attempts: Attempts) -> NewLegacy:
    def new_legacy(command: str | tuple[str, ...] = "true", **changes: Any) -> Legacy:
        return Legacy(claimed(connection, folder, command=command, **changes), folder, attempts)

    return new_legacy


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a process, and the leader of a group, that is none of ours."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        yield stranger.pid
        stranger.kill()


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen(["true"]) as dead:
        return dead.pid


HERE = boot()
UNTIL_GO = "echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 7"


@pytest.mark.parametrize("has_directory", [True, False])
async def test_an_attempt_that_never_started_never_will(
    new_legacy: NewLegacy, folder: Folder, attempts: Attempts, has_directory: bool
) -> None:
    legacy = new_legacy("echo ran")
    if has_directory:
        folder.make_run_dir(legacy.run.id)
    assert (await legacy.heir.adopt(HERE)).end is End.NEVER_STARTED
    # Its server only slept.
    folder.make_run_dir(legacy.run.id)
    late = attempts.start("echo ran", path=legacy.path)
    assert await late.ends() == FENCED
    assert late.output == ""


async def test_an_attempt_whose_server_died_at_the_fence_never_started(new_legacy: NewLegacy) -> None:
    legacy = new_legacy()
    legacy.had_fence("")
    assert (await legacy.heir.adopt(HERE)).end is End.NEVER_STARTED


async def test_a_living_attempt_is_waited_for_and_its_exit_code_is_right(
    new_legacy: NewLegacy, tmp_path: Path
) -> None:
    legacy = new_legacy(UNTIL_GO)
    legacy.had_started().says("ready")
    adopting = asyncio.create_task(legacy.heir.adopt(HERE))
    done, _ = await asyncio.wait([adopting], timeout=0.2)
    assert not done
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 7), (("sh", "-c", "kill -9 $$"), 137)])
async def test_an_attempt_that_ended_meanwhile_has_the_right_exit_code(
    new_legacy: NewLegacy, command: str | tuple[str, ...], code: int
) -> None:
    legacy = new_legacy(command)
    started = legacy.had_started()
    eventually(lambda: not is_alive(started.pid))
    outcome = await legacy.heir.adopt(HERE)
    assert (outcome.end, outcome.exit_code) == (End.EXITED, code)


async def test_an_attempt_that_ended_before_a_restart_of_the_machine_has_the_right_exit_code(
    new_legacy: NewLegacy, dead_pid: int
) -> None:
    legacy = new_legacy()
    legacy.had_fence(f"{dead_pid}\n7\n")
    outcome = await legacy.heir.adopt("an earlier boot")
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


async def test_what_ended_meanwhile_has_the_time_of_its_end(new_legacy: NewLegacy, dead_pid: int) -> None:
    legacy = new_legacy()
    legacy.had_fence(f"{dead_pid}\n7\n")
    ended = (legacy.run.started_at or 0.0) + 0.01
    eventually(lambda: time.time() > ended)
    os.utime(legacy.path + ".pid", (ended, ended))
    assert (await legacy.heir.adopt(HERE)).at == pytest.approx(ended, abs=1e-5)


@pytest.mark.parametrize("jump", [-18000.0, 18000.0])
async def test_what_ended_before_the_clock_was_set_took_as_long_as_it_did(
    new_legacy: NewLegacy, folder: Folder, jump: float
) -> None:
    class Set(Clock):
        def now(self) -> float:
            return super().now() + jump

    legacy = new_legacy("sleep 0.3")
    started = legacy.had_started()
    eventually(lambda: not is_alive(started.pid))
    began = (legacy.run.started_at or 0.0) + jump
    heir = Runner(msgspec.structs.replace(legacy.run, started_at=began), folder, Set(), ProcessSettings({}, 1.0))
    assert 0.2 < (await heir.adopt(HERE)).at - began < time.time() + jump - began


async def test_an_adopted_attempt_that_is_stopped_has_the_exit_code_of_that(new_legacy: NewLegacy) -> None:
    legacy = new_legacy(UNTIL_GO)
    legacy.had_started().says("ready")
    adopting = asyncio.create_task(legacy.heir.adopt(HERE))
    await asyncio.wait([adopting], timeout=0.1)
    legacy.heir.stop("so")
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.STOPPED, 143)


async def test_an_attempt_that_failed_to_start_meanwhile_is_told_as_such(
    new_legacy: NewLegacy, tmp_path: Path
) -> None:
    legacy = new_legacy(working_dir=str(tmp_path / "nowhere"))
    # In place of its server, which would have started it there.
    legacy.had_fence("1\n122 no working directory\n")
    outcome = await legacy.heir.adopt(HERE)
    assert outcome.end is End.FAILED_TO_START


async def test_an_attempt_whose_process_is_gone_is_lost(new_legacy: NewLegacy, dead_pid: int) -> None:
    legacy = new_legacy()
    legacy.had_fence(f"{dead_pid}\n")
    outcome = await legacy.heir.adopt(HERE)
    assert (outcome.end, outcome.exit_code) == (End.LOST, None)
    assert "killed" in outcome.why


async def test_an_attempt_of_an_earlier_boot_is_lost(new_legacy: NewLegacy, dead_pid: int) -> None:
    legacy = new_legacy()
    legacy.had_fence(f"{dead_pid}\n")
    outcome = await legacy.heir.adopt("an earlier boot")
    assert outcome.end is End.LOST
    assert "restarted" in outcome.why


@pytest.mark.parametrize(("boot", "end"), [("an earlier boot", End.LOST), (HERE, End.EXITED), ("", End.EXITED)])
async def test_an_attempt_that_a_signal_ended_is_lost_only_if_the_machine_was_restarted(
    new_legacy: NewLegacy, dead_pid: int, boot: str, end: End
) -> None:
    legacy = new_legacy()
    legacy.had_fence(f"{dead_pid}\n143\n")
    assert (await legacy.heir.adopt(boot)).end is end


@pytest.mark.parametrize("boot", [HERE, "an earlier boot", ""])
async def test_a_process_that_was_given_the_pid_of_a_lost_attempt_is_left_alone(
    new_legacy: NewLegacy, stranger: int, boot: str
) -> None:
    legacy = new_legacy()
    legacy.had_fence(f"{stranger}\n")
    assert (await legacy.heir.adopt(boot)).end is End.LOST
    assert is_alive(stranger)


@pytest.mark.parametrize(
    "command",
    [
        "sleep 300",
        "echo ready; sleep 300 & sleep 300",
        ("sleep", "300"),
        "trap '' TERM; while :; do sleep 0.05; done",
        "sleep 300 & exec env -i sleep 300",
    ],
)
async def test_when_the_wrapper_alone_was_killed_its_command_is_ended_before_the_run_is_lost(
    new_legacy: NewLegacy, command: str | tuple[str, ...]
) -> None:
    legacy = new_legacy(command)
    started = legacy.had_started()
    eventually(lambda: command_pid(started.pid) != started.pid)
    # The last of the commands replaces its environment a moment after it has begun.
    eventually(lambda: b"env" not in Path(f"/proc/{command_pid(started.pid)}/cmdline").read_bytes())
    os.kill(started.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(started.pid))
    assert group_has_members(started.pid)
    outcome = await legacy.heir.adopt(HERE)
    assert outcome.end is End.LOST
    assert not group_has_members(started.pid)


async def test_an_attempt_whose_wrapper_is_killed_after_it_was_adopted_is_lost(new_legacy: NewLegacy) -> None:
    legacy = new_legacy("echo ready; sleep 300")
    started = legacy.had_started()
    started.says("ready")
    adopting = asyncio.create_task(legacy.heir.adopt(HERE))
    await asyncio.sleep(0)
    os.kill(started.pid, signal.SIGKILL)
    assert (await adopting).end is End.LOST
    assert not group_has_members(started.pid)


async def test_what_an_adopted_attempt_leaves_behind_is_ended(new_legacy: NewLegacy, tmp_path: Path) -> None:
    legacy = new_legacy(f"sleep 300 & {UNTIL_GO}")
    started = legacy.had_started()
    started.says("ready")
    adopting = asyncio.create_task(legacy.heir.adopt(HERE))
    await asyncio.sleep(0)
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert not group_has_members(started.pid)


async def test_what_an_attempt_left_behind_that_ended_meanwhile_is_ended(
    new_legacy: NewLegacy, tmp_path: Path
) -> None:
    legacy = new_legacy(f"sleep 300 & {UNTIL_GO}")
    started = legacy.had_started()
    started.says("ready")
    (tmp_path / "go").touch()
    eventually(lambda: not is_alive(started.pid))
    assert group_has_members(started.pid)
    outcome = await legacy.heir.adopt(HERE)
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert not group_has_members(started.pid)


async def test_an_adopted_attempt_can_be_stopped(new_legacy: NewLegacy) -> None:
    legacy = new_legacy("echo ready; sleep 300")
    started = legacy.had_started()
    started.says("ready")
    adopting = asyncio.create_task(legacy.heir.adopt(HERE))
    await asyncio.sleep(0)
    legacy.heir.stop("cancelled")
    outcome = await adopting
    assert (outcome.end, outcome.why) == (End.STOPPED, "cancelled")
    assert not group_has_members(started.pid)


async def test_the_timeout_of_an_adopted_attempt_counts_from_its_start(new_legacy: NewLegacy) -> None:
    legacy = new_legacy("echo ready; sleep 300", timeout=0.5)
    started = legacy.had_started()
    started.says("ready")
    eventually(lambda: time.time() > (legacy.run.started_at or 0.0) + 0.5)
    assert (await legacy.heir.adopt(HERE)).end is End.TIMED_OUT
    assert not group_has_members(started.pid)


async def test_where_files_have_run_out_an_attempt_is_looked_for_again(
    new_legacy: NewLegacy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    pin, pinned = os.pidfd_open, list[int]()

    def pin_with_the_last_file(pid: int) -> int:
        descriptor = pin(pid)
        resource.setrlimit(resource.RLIMIT_NOFILE, before if pinned else (descriptor + 1, before[1]))
        pinned.append(descriptor)
        return descriptor

    legacy = new_legacy(UNTIL_GO)
    started = legacy.had_started()
    started.says("ready")
    monkeypatch.setattr(os, "pidfd_open", pin_with_the_last_file)
    try:
        adopting = asyncio.create_task(legacy.heir.adopt(HERE))
        await eventually_async(lambda: len(pinned) == 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


async def test_what_cannot_be_adopted_yet_can_be_stopped(new_legacy: NewLegacy, folder: Folder) -> None:
    legacy = new_legacy()
    folder.runs.rename(folder.path / "away")
    adopting = asyncio.create_task(legacy.heir.adopt(HERE))
    await asyncio.wait([adopting], timeout=0.1)
    assert not adopting.done()
    legacy.heir.stop("so")
    async with asyncio.timeout(10.0):
        assert (await adopting).end is End.NEVER_STARTED
