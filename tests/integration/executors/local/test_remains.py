"""Processes without their wrapper are ended before their attempt counts as lost, even with some marks shed."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from aqueue.clock import Clock, boot
from aqueue.executors.attempt_files import Fence
from aqueue.executors.command import arguments, environment
from aqueue.executors.local import attempt_locks, process_table, remains
from aqueue.executors.local.procfs import session_of
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.model.run import Run
from aqueue.processes import is_alive
from tests.acceptance.mounting import bind_mount
from tests.integration.attempts import DYING_SERVER, Attempts, Started
from tests.integration.recording import claimed
from tests.waiting import eventually, eventually_async

HERE = boot()

SAY = "echo $$ >worker.new; mv worker.new worker; exec sleep 300"
CLOSE = f"import os; os.closerange(3, 4096); os.execvp('sh', ['sh', '-c', {SAY!r}])"
LAUNCH = f"import subprocess; subprocess.run(['sh', '-c', {SAY!r}])"
LAUNCH_APART_WITHOUT = (
    f"import subprocess; subprocess.run(['sh', '-c', {SAY!r}], start_new_session=True, env={{}})"
)
LAUNCH_APART = f"import subprocess; subprocess.run(['sh', '-c', {SAY!r}], start_new_session=True)"


def python(program: str, *before: str) -> tuple[str, ...]:
    return (*before, sys.executable, "-I", "-c", program)


class Lost:
    """A run whose server has been killed, and all of it but the process that has written `worker`."""

    def __init__(self, run: Run, folder: Folder, attempts: Attempts) -> None:
        self.run = run
        self.path = attempts.path(run.id, run.attempt)
        self.folder = folder
        self._attempts = attempts

    @property
    def variables(self) -> dict[str, str]:
        return environment(self.run, {"PATH": os.environ["PATH"]}, self.folder, str(self.folder.parent))

    def had_started(self) -> Started:
        return self._attempts.start_and_die(
            arguments(self.run.task, self.variables), path=self.path, environment=self.variables
        )

    @property
    def told(self) -> bytes:
        variables = self.variables
        return self._attempts.what_to_spawn(self.path, arguments(self.run.task, variables), variables)

    def heir(self, folder: Folder | None = None) -> Runner:
        return Runner(self.run, folder or self.folder, Clock(), ProcessSettings({}, 1.0))


NewLost = Callable[..., Lost]


@pytest.fixture
def new_lost(folder: Folder, connection: sqlite3.Connection, attempts: Attempts) -> NewLost:
    def new_lost(command: str | tuple[str, ...]) -> Lost:
        return Lost(claimed(connection, folder, command=command), folder, attempts)

    return new_lost


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """The pid of the process that is to be found, as that knows it."""
    path = tmp_path / "worker"

    def worker() -> int:
        eventually(path.exists)
        return int(path.read_text())

    yield worker
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(path.read_text()), signal.SIGKILL)


def kill_all_but(worker: int, wrapper: int) -> None:
    """Kill the wrapper, and what is between it and a worker."""
    between = int(Path(f"/proc/{worker}/stat").read_text().rpartition(") ")[2].split()[1])
    for pid in dict.fromkeys((wrapper, between)):
        os.kill(pid, signal.SIGKILL)
        eventually(partial(is_over, pid))


def is_over(pid: int) -> bool:
    return not is_alive(pid)


@pytest.mark.parametrize(
    "command",
    [
        python(CLOSE, "env", "-i"),
        python(CLOSE),
        python(LAUNCH, "env", "-i"),
        python(LAUNCH_APART),
        python(LAUNCH_APART_WITHOUT),
    ],
    ids=["closed, env -i", "closed", "launched, env -i", "launched in a session of its own", "so, env -i"],
)
async def test_a_worker_that_has_closed_the_lock_is_ended_before_its_run_is_lost(
    new_lost: NewLost, worker: Callable[[], int], command: tuple[str, ...]
) -> None:
    lost = new_lost(command)
    wrapper = lost.had_started().pid
    kill_all_but(worker(), wrapper)
    assert not attempt_locks.is_held(lost.path)
    assert (await lost.heir().adopt(HERE)).end is End.LOST
    assert not is_alive(worker())


async def test_so_it_is_over_a_bind_mount(
    new_lost: NewLost, worker: Callable[[], int], folder: Folder, tmp_path: Path
) -> None:
    lost = new_lost(python(LAUNCH_APART))
    wrapper = lost.had_started().pid
    kill_all_but(worker(), wrapper)
    with bind_mount(folder.parent, tmp_path / "mounted") as is_mounted:
        if not is_mounted:
            pytest.skip("this user cannot mount anything here")
        assert (await lost.heir(Folder(tmp_path / "mounted/queue")).adopt(HERE)).end is End.LOST
    assert not is_alive(worker())


async def test_what_a_command_left_behind_that_has_closed_the_lock_is_ended(
    new_lost: NewLost, worker: Callable[[], int]
) -> None:
    program = f"import subprocess; subprocess.Popen(['sh', '-c', {SAY!r}])"
    lost = new_lost(python(program, "env", "-i"))
    wrapper = lost.had_started().pid
    eventually(lambda: not is_alive(wrapper))
    outcome = await lost.heir().adopt(HERE)
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 0)
    assert not is_alive(worker())


@pytest.mark.parametrize("has_proc", [True, False])
async def test_a_worker_in_another_pid_namespace_is_ended_before_its_run_is_lost(
    new_lost: NewLost, tmp_path: Path, has_proc: bool
) -> None:
    lost = new_lost(python(CLOSE, "env", "-i"))
    (tmp_path / "server.py").write_text(DYING_SERVER)
    (tmp_path / "told").write_bytes(lost.told)
    unshare = ["unshare", "-pf", "--kill-child", *(["--mount-proc"] if has_proc else [])]
    script = f"{sys.executable} server.py <told >pid; [ -s pid ] || exit; until [ -e worker ]; do sleep 0.02; done"
    script += "; kill -9 $(cat pid); echo killed; while :; do sleep 0.1; done"
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user cannot make a pid namespace here")
    with subprocess.Popen([*unshare, "sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE) as container:
        assert container.stdout is not None
        assert container.stdout.readline() == b"killed\n"
        fence = Fence(int((tmp_path / "pid").read_text()), None)
        # What was killed a moment ago may still be going.
        eventually(lambda: len(remains.find(lost.path, fence, process_table.read())) == 1)
        (seen,) = remains.find(lost.path, fence, process_table.read())
        assert (await lost.heir().adopt(HERE)).end is End.LOST
        assert not is_alive(seen)
        container.kill()


async def test_a_session_that_has_the_number_of_one_in_another_boot_or_namespace_is_left_alone(
    new_lost: NewLost,
) -> None:
    lost = new_lost("true")
    with subprocess.Popen(
        ["sh", "-c", "sleep 300 & echo $!; exec sleep 300"], stdout=-1, start_new_session=True
    ) as s:
        assert s.stdout is not None
        member = int(s.stdout.readline())
        lost_lock, now = Path(lost.path + ".lock"), attempt_locks.take(lost.path)
        assert now is not None
        os.close(now)
        origin = attempt_locks.origin(lost.path)
        assert origin is not None
        s.kill()
        s.wait()
        try:
            assert session_of(member) == s.pid
            for changed in (
                msgspec.structs.replace(origin, ticks=0, boot="another"),
                msgspec.structs.replace(origin, ticks=0, namespace="pid:[1]"),
                # It is older than the attempt.
                msgspec.structs.replace(origin, ticks=origin.ticks + 100),
            ):
                lost_lock.write_bytes(msgspec.json.encode(changed))
                assert remains.find(lost.path, Fence(s.pid, None), process_table.read()) == set()
            lost_lock.write_bytes(msgspec.json.encode(msgspec.structs.replace(origin, ticks=0)))
            assert remains.find(lost.path, Fence(s.pid, None), process_table.read()) == {member}
        finally:
            os.kill(member, signal.SIGKILL)


async def test_a_group_whose_leader_is_a_stranger_is_left_alone(new_lost: NewLost) -> None:
    lost = new_lost("true")
    lock = attempt_locks.take(lost.path)
    assert lock is not None
    os.close(lock)
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        Path(lost.path + ".pid").write_text(f"{stranger.pid}\n")
        assert (await lost.heir().adopt(HERE)).end is End.LOST
        assert stranger.poll() is None
        stranger.kill()


UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done; exit 7"


@pytest.mark.parametrize("clear", ['rm -rf "$AQUEUE_RUN_DIR"/*', 'rm -rf "$AQUEUE_RUN_DIR"'])
async def test_an_attempt_that_has_removed_its_files_is_adopted_over_a_bind_mount(
    new_lost: NewLost, folder: Folder, tmp_path: Path, clear: str
) -> None:
    lost = new_lost(("sh", "-c", f"{clear}; touch ready; {UNTIL_GO}"))
    lost.had_started()
    eventually((tmp_path / "ready").exists)
    with bind_mount(folder.parent, tmp_path / "mounted") as is_mounted:
        if not is_mounted:
            pytest.skip("this user cannot mount anything here")
        adopting = asyncio.create_task(lost.heir(Folder(tmp_path / "mounted/queue")).adopt(HERE))
        await eventually_async(lambda: Path(lost.path + ".pid").exists())
        done, _ = await asyncio.wait([adopting], timeout=0.3)
        assert not done
        (tmp_path / "go").touch()
        outcome = await adopting
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)


@pytest.mark.parametrize("how", ["exec env -i sh", "exec setsid sh"])
async def test_what_has_removed_its_files_and_lost_its_wrapper_is_ended_before_its_run_is_lost(
    new_lost: NewLost, worker: Callable[[], int], how: str
) -> None:
    lost = new_lost(("sh", "-c", f"rm -rf $AQUEUE_RUN_DIR/*; {how} -c '{SAY}'"))
    wrapper = lost.had_started().pid
    pid = worker()
    os.kill(wrapper, signal.SIGKILL)
    eventually(lambda: not is_alive(wrapper))
    outcome = await lost.heir().adopt(HERE)
    assert outcome.end is End.LOST
    assert not is_alive(pid)
