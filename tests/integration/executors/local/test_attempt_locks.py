"""No attempt runs beside another of the same run, from wherever the servers look at it."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aqueue.clock import Clock, boot
from aqueue.executors import attempt_files
from aqueue.executors.command import arguments, environment
from aqueue.executors.local.attempt_locks import is_held
from aqueue.executors.local.process_table import read
from aqueue.executors.local.procfs import command_pid, group_has_members
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.events import Event, Notice
from aqueue.model.outcome import End
from aqueue.model.run import Run
from aqueue.processes import is_alive
from tests.integration.attempts import DYING_SERVER, Attempts, Started
from tests.integration.recording import claimed
from tests.waiting import eventually, eventually_async

HERE = boot()
UNTIL_GO = "echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 7"


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.at_length), True], ids=["spawned", "parked"])
def parked(request: pytest.FixtureRequest) -> bool:
    """Whichever way a shell comes to its attempt, it is the same wrapper, under any version of Python."""
    return bool(request.param)


class Legacy:
    """A run that a server had claimed before it died."""

    def __init__(self, run: Run, folder: Folder, attempts: Attempts) -> None:
        self.run = run
        self.path = folder.attempt(run.id, run.attempt)
        self.told: list[Event] = []
        self.folder = folder
        self._attempts = attempts
        folder.make_run_dir(run.id)

    def heir(self, folder: Folder | None = None) -> Runner:
        """A runner of the next server, which may reach the folder by another path."""
        return Runner(
            self.run,
            folder or self.folder,
            Clock(),
            ProcessSettings({}, 1.0),
            report=lambda *events: self.told.extend(events),
        )

    @property
    def what_to_spawn(self) -> bytes:
        variables = environment(self.run, {"PATH": os.environ["PATH"]}, self.folder, str(self.folder.parent))
        return self._attempts.what_to_spawn(self.path, arguments(self.run.task, variables), variables)

    def had_started(self) -> Started:
        """Have its server start it, and die."""
        variables = environment(self.run, {}, self.folder, str(self.folder.parent))
        return self._attempts.start_and_die(
            arguments(self.run.task, variables), path=self.path, environment=variables
        )

    def is_ready(self) -> bool:
        """Return True once its command has said so."""
        log = self.folder.log(self.run.id, 1)
        return log.exists() and "ready" in log.read_text()

    @property
    def fence(self) -> Path:
        return Path(self.path + ".pid")


NewLegacy = Callable[..., Legacy]


@pytest.fixture
def new_legacy(folder: Folder, connection: sqlite3.Connection, attempts: Attempts) -> NewLegacy:
    def new_legacy(command: str | tuple[str, ...] = UNTIL_GO, **changes: Any) -> Legacy:
        return Legacy(claimed(connection, folder, command=command, **changes), folder, attempts)

    return new_legacy


@pytest.fixture
def mounted(folder: Folder, tmp_path: Path) -> Iterator[Folder]:
    """The same folder, as it is reached over a bind mount."""
    target = tmp_path / "mounted"
    target.mkdir()
    mount = subprocess.run(["mount", "--bind", folder.parent, target], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("this user cannot mount anything here")
    yield Folder(target / "queue")
    subprocess.run(["umount", "--lazy", target], check=True)


async def runs_on(adopting: asyncio.Task[Any]) -> bool:
    done, _ = await asyncio.wait([adopting], timeout=0.5)
    return not done


# From elsewhere


async def test_an_attempt_is_adopted_over_a_bind_mount(
    new_legacy: NewLegacy, mounted: Folder, tmp_path: Path
) -> None:
    legacy = new_legacy()
    legacy.had_started().says("ready")
    adopting = asyncio.create_task(legacy.heir(mounted).adopt(HERE))
    assert await runs_on(adopting)
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


async def test_an_attempt_that_was_adopted_over_a_bind_mount_can_be_stopped(
    new_legacy: NewLegacy, mounted: Folder
) -> None:
    legacy = new_legacy()
    started = legacy.had_started()
    started.says("ready")
    heir = legacy.heir(mounted)
    adopting = asyncio.create_task(heir.adopt(HERE))
    await asyncio.sleep(0)
    heir.stop("cancelled")
    assert (await adopting).end is End.STOPPED
    assert not group_has_members(started.pid)


async def test_what_was_left_behind_is_ended_over_a_bind_mount(new_legacy: NewLegacy, mounted: Folder) -> None:
    legacy = new_legacy("sleep 300 & exit 7")
    started = legacy.had_started()
    eventually(lambda: not is_alive(started.pid))
    outcome = await legacy.heir(mounted).adopt(HERE)
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert not group_has_members(started.pid)


@pytest.fixture
def in_container(tmp_path: Path) -> Iterator[Callable[[Legacy], int]]:
    """Has an attempt started by a server in a pid namespace that lives on; returns the pid there."""
    with contextlib.ExitStack() as stack:

        def start(legacy: Legacy) -> int:
            program = tmp_path / "server.py"
            program.write_text(DYING_SERVER)
            told = tmp_path / "told"
            told.write_bytes(legacy.what_to_spawn)
            script = f"{sys.executable} {program} <{told}; while :; do sleep 0.1; done"
            container = stack.enter_context(
                subprocess.Popen(["unshare", "-pf", "--kill-child", "sh", "-c", script], stdout=subprocess.PIPE)
            )
            stack.callback(container.kill)
            assert container.stdout is not None
            return int(container.stdout.readline())

        if subprocess.run(["unshare", "-pf", "true"], capture_output=True, check=False).returncode:
            pytest.skip("this user cannot make a pid namespace here")
        yield start


async def test_an_attempt_in_another_pid_namespace_is_adopted(
    new_legacy: NewLegacy, in_container: Callable[[Legacy], int], tmp_path: Path
) -> None:
    legacy = new_legacy()
    inner = in_container(legacy)
    eventually(legacy.is_ready)
    adopting = asyncio.create_task(legacy.heir().adopt(HERE))
    assert await runs_on(adopting)
    assert legacy.fence.read_text() == f"{inner}\n"
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


async def test_an_attempt_in_another_pid_namespace_can_be_stopped(
    new_legacy: NewLegacy, in_container: Callable[[Legacy], int]
) -> None:
    legacy = new_legacy()
    in_container(legacy)
    eventually(legacy.is_ready)
    heir = legacy.heir()
    adopting = asyncio.create_task(heir.adopt(HERE))
    assert await runs_on(adopting)
    heir.stop("cancelled")
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.STOPPED, 143)
    assert is_held(legacy.path) is False


# Without its wrapper


@pytest.mark.parametrize("how", ["exec env -i sleep 300", "exec setsid sleep 300"])
async def test_a_command_without_its_wrapper_is_ended_before_its_run_is_lost(
    new_legacy: NewLegacy, how: str
) -> None:
    legacy = new_legacy(("/bin/sh", "-c", f"echo ready; {how}"))
    started = legacy.had_started()
    command = eventually(lambda: pid if (pid := command_pid(started.pid)) != started.pid else None)
    assert command is not None
    eventually(lambda: b"300" in _words(command) and b"-c" not in _words(command))
    os.kill(started.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(started.pid))
    assert is_alive(command)
    assert (await legacy.heir().adopt(HERE)).end is End.LOST
    assert not is_alive(command)


async def test_an_escaped_process_of_an_adopted_attempt_is_ended_before_its_run_is_lost(
    new_legacy: NewLegacy,
) -> None:
    legacy = new_legacy("setsid sh -c 'echo $$; exec sleep 300' & wait")
    started = legacy.had_started()
    escaped = int(eventually(lambda: started.output.strip()))
    adopting = asyncio.create_task(legacy.heir().adopt(HERE))
    assert await runs_on(adopting)
    os.kill(started.pid, signal.SIGKILL)
    assert (await adopting).end is End.LOST
    assert not is_alive(escaped)


async def test_a_daemon_that_outlives_its_command_keeps_nobody_waiting(
    new_legacy: NewLegacy, tmp_path: Path
) -> None:
    legacy = new_legacy("setsid sh -c 'echo $$; exec sleep 300' & until [ -e go ]; do sleep 0.02; done; exit 7")
    started = legacy.had_started()
    daemon = int(eventually(lambda: started.output.strip()))
    (tmp_path / "go").touch()
    eventually(lambda: not is_alive(started.pid))
    try:
        assert is_held(legacy.path)
        outcome = await legacy.heir().adopt(HERE)
        assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
        assert is_alive(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)


async def test_an_attempt_that_cannot_be_reached_is_waited_for_and_that_is_said_once(
    new_legacy: NewLegacy, dead_pid: int
) -> None:
    legacy = new_legacy()
    legacy.fence.write_text(f"{dead_pid}\n")
    heir = legacy.heir()
    # In place of a process that cannot be seen: this one has the lock open, and its own files are not looked at.
    with open(legacy.path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        adopting = asyncio.create_task(heir.adopt(HERE))
        assert await runs_on(adopting)
        assert legacy.told == []
        heir.stop("cancelled")
        await eventually_async(lambda: legacy.told)
        assert await runs_on(adopting)
    assert (await adopting).end is End.LOST
    (notice,) = legacy.told
    assert isinstance(notice, Notice)
    assert notice.text.startswith(f"run {legacy.run.id} cannot be stopped from here")


def test_a_server_that_asks_for_a_lock_is_no_holder_of_it(new_legacy: NewLegacy) -> None:
    legacy = new_legacy()
    hold = "import fcntl, os, sys, time; fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR | os.O_CLOEXEC);"
    hold += "fcntl.flock(fd, fcntl.LOCK_EX); print(flush=True); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", hold, legacy.path + ".lock"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert is_held(legacy.path)
        assert read().holders(legacy.path) == set()
        other.kill()


# Before its first act


async def test_an_attempt_that_was_spawned_and_has_not_begun_never_started(
    new_legacy: NewLegacy, tmp_path: Path
) -> None:
    legacy = new_legacy("touch ran", requeue=False)
    # The log is opened before the fence, and a FIFO makes that wait for a reader.
    log = legacy.folder.log(legacy.run.id, legacy.run.attempt)
    os.mkfifo(log)
    started = legacy.had_started()
    eventually(lambda: started.pid in read().holders(legacy.path))
    adopting = asyncio.create_task(legacy.heir().adopt(HERE))
    await eventually_async(legacy.fence.exists)
    assert await runs_on(adopting), adopting
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    outcome = await adopting
    os.close(reader)
    assert outcome.end is End.NEVER_STARTED
    # A process that exits lets go of its lock a moment before it is over.
    eventually(lambda: not is_alive(started.pid))
    assert not (tmp_path / "ran").exists()


async def test_one_that_was_closed_by_a_server_that_died_never_started(new_legacy: NewLegacy) -> None:
    legacy = new_legacy()
    Path(legacy.path + ".lock").touch()
    legacy.fence.touch()
    assert (await legacy.heir().adopt(HERE)).end is End.NEVER_STARTED


# With a fence that others have changed


def _garble(fence: Path, text: str | None) -> None:
    fence.unlink() if text is None else fence.write_text(text)


GARBAGE = [None, "", "12\n", "999999999999\n", "\u0661\n", "hello\nworld\nand\n", "hello"]


@pytest.mark.parametrize("text", GARBAGE)
@pytest.mark.parametrize("code", [0, 7, 119, 121, 123])
def test_the_exit_code_of_a_child_is_its_own_whatever_becomes_of_its_fence(
    new_legacy: NewLegacy, tmp_path: Path, text: str | None, code: int
) -> None:
    legacy = new_legacy(UNTIL_GO.replace("exit 7", f"exit {code}"))
    runner = Runner(legacy.run, legacy.folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))

    async def run() -> Any:
        assert runner.launch()
        seeing = asyncio.create_task(runner.wait())
        await eventually_async(legacy.is_ready)
        _garble(legacy.fence, text)
        (tmp_path / "go").touch()
        return await seeing

    outcome = asyncio.run(run())
    assert (outcome.end, outcome.exit_code) == (End.EXITED, code)


@pytest.mark.parametrize("text", GARBAGE)
async def test_an_attempt_is_adopted_whatever_stands_in_its_fence(
    new_legacy: NewLegacy, tmp_path: Path, text: str | None
) -> None:
    legacy = new_legacy()
    legacy.had_started().says("ready")
    _garble(legacy.fence, text)
    adopting = asyncio.create_task(legacy.heir().adopt(HERE))
    assert await runs_on(adopting)
    (tmp_path / "go").touch()
    outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


@pytest.mark.parametrize("text", [None, "", "hello\n"])
async def test_an_adopted_attempt_that_ends_with_a_changed_fence_is_lost_and_told_why(
    new_legacy: NewLegacy, tmp_path: Path, text: str | None
) -> None:
    legacy = new_legacy()
    started = legacy.had_started()
    started.says("ready")
    adopting = asyncio.create_task(legacy.heir().adopt(HERE))
    assert await runs_on(adopting)
    _garble(legacy.fence, text)
    os.kill(started.pid, signal.SIGKILL)
    outcome = await adopting
    assert outcome.end is End.LOST
    assert "changed" in outcome.why


async def test_a_fence_that_another_server_has_closed_does_not_read_as_a_full_disk(new_legacy: NewLegacy) -> None:
    legacy = new_legacy()
    assert attempt_files.close_fence(legacy.path)
    sleeper = Runner(legacy.run, legacy.folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert sleeper.launch()
    outcome = await sleeper.wait()
    assert (outcome.end, outcome.why) == (End.NEVER_STARTED, "")


async def test_a_run_that_cannot_make_its_fence_says_so(new_legacy: NewLegacy) -> None:
    legacy = new_legacy()
    legacy.folder.log(legacy.run.id, legacy.run.attempt).mkdir()
    runner = Runner(legacy.run, legacy.folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert runner.launch()
    outcome = await runner.wait()
    assert outcome.end is End.NEVER_STARTED
    assert "cannot make its files" in outcome.why


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen(["true"]) as dead:
        return dead.pid


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return []
