"""Shells that wait for their attempts: when they are used, and how they end if they are not."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import pytest

from aqueue.clock import Clock
from aqueue.executors.command import OWN_SHELL
from aqueue.executors.local import attempt_locks
from aqueue.executors.local.executor import LocalExecutor
from aqueue.executors.local.parking import ParkedShell, Parking
from aqueue.executors.local.process import Launch
from aqueue.executors.local.procfs import named_attempt
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.outcome import End
from aqueue.processes import is_alive
from tests.integration.attempts import Attempts
from tests.integration.recording import claimed
from tests.waiting import eventually


@pytest.fixture
def parked() -> bool:
    return True


def is_parked(pid: int) -> bool:
    return b"/parked/" in (named_attempt(pid) or b"")


def locks(folder: Folder) -> list[Path]:
    return list((folder.state / "parked").glob("*"))


async def test_an_attempt_starts_in_a_parked_shell_and_its_lock_is_the_attempts(
    attempts: Attempts, folder: Folder
) -> None:
    started = attempts.start("sleep 300", environment={"A": "1"})
    # A process may have no command line yet in the moment in which it is started.
    eventually(partial(is_parked, started.pid))
    assert attempt_locks.is_held(started.path)
    assert len(locks(folder)) == 1
    os.killpg(started.pid, signal.SIGKILL)
    await started.ends()
    assert attempt_locks.is_held(started.path) is False


@pytest.mark.parametrize(
    ("environment", "is_used"),
    [
        ({"A": "x\ny'z\"$HOME"}, True),
        ({"B": ""}, True),
        ({"PS1": "mine", "OPTIND": "x"}, True),
        ({"not a name": "1"}, True),
        ({"BASH_FUNC_other%%": "() { :; }"}, False),
        ({"UID": "5"}, False),
        ({"BASH_ALIASES": "x"}, False),
        ({"A": "x" * 40_000}, False),
    ],
)
async def test_a_command_has_its_environment_whether_or_not_a_shell_can_give_itself_that(
    attempts: Attempts, environment: Mapping[str, str], is_used: bool
) -> None:
    printing = "import os, sys; print([os.environ.get(name) for name in sys.argv[1:]])"
    started = attempts.start([sys.executable, "-c", printing, *environment], environment=environment)
    assert await started.ends() == 0
    assert (len(attempts.parking.pids) == 1) == is_used
    # Not every shell hands on functions of bash.
    assert started.output == f"{list(environment.values())}\n" or "BASH_FUNC_other%%" in environment


async def test_variables_that_the_server_has_and_a_command_has_not_are_gone(folder: Folder) -> None:
    path = Attempts(folder).path()
    parking = Parking(folder.state, {"PATH": os.environ["PATH"], "SECRET": "x"})
    parking.fill()
    arguments = [OWN_SHELL, 'echo "${SECRET-none}"; env']
    with parking.spawn(Launch(path, "/", arguments, {"PATH": os.environ["PATH"], "MINE": "1"})) as process:
        assert await process.wait() == 0
    parking.close()
    none, *variables = Path(path + ".log").read_text().splitlines()
    assert none == "none"
    assert {each.partition("=")[0] for each in variables} == {"PATH", "MINE", "PWD"}


async def test_a_shell_that_was_killed_while_it_waited_is_replaced(attempts: Attempts, folder: Folder) -> None:
    attempts.parking.fill()
    for pid in attempts.parking.pids:
        os.kill(pid, signal.SIGKILL)
        eventually(partial(lambda pid: not is_alive(pid), pid))
    started = attempts.start("echo here")
    assert await started.ends() == 0
    assert started.output == "here\n"


async def test_an_attempt_that_has_a_lock_already_is_not_given_another(attempts: Attempts) -> None:
    path = attempts.path()
    lock = attempt_locks.take(path)
    assert lock is not None
    with pytest.raises(attempt_locks.HeldError):
        attempts.start("true", path=path)
    os.close(lock)
    started = attempts.start("true", path=path)
    assert await started.ends() == 0


def test_shells_that_are_not_used_end_with_their_server_and_leave_nothing(folder: Folder) -> None:
    script = """if True:
        import json, os, sys
        from pathlib import Path
        from aqueue.executors.local.parking import ParkedShell, Parking
        parking = Parking(Path(sys.argv[1]), {})
        parking.fill()
        print(parking.pids, flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", script, folder.state], stdout=subprocess.PIPE, check=False)
    pids = msgspec.json.decode(done.stdout, type=list[int])
    assert len(pids) == len(locks(folder)) == 2
    eventually(lambda: not any(map(is_alive, pids)))
    Parking(folder.state, {})
    assert len(locks(folder)) == 2
    for lock in locks(folder):
        os.utime(lock, (0, 0))
    Parking(folder.state, {})
    assert locks(folder) == []


def test_a_shell_runs_nothing_of_a_script_that_it_gets_only_half_of(folder: Folder, tmp_path: Path) -> None:
    shell = ParkedShell(str(tmp_path / "name"), {"PATH": os.environ["PATH"]})
    path = Attempts(folder).path()
    assert shell.start(path, f"{{ touch {tmp_path}/ran\n".encode())
    os.waitpid(shell.pid, 0)
    assert not (tmp_path / "ran").exists()


async def test_after_an_attempt_that_never_began_the_next_is_not_given_to_a_parked_shell(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    executor = LocalExecutor(folder, Clock(), {"PATH": os.environ["PATH"]}, Config)
    executor.prepare()
    first = claimed(connection, folder, command="sleep 300")
    folder.make_run_dir(first.id)
    lock = attempt_locks.take(folder.attempt(first.id, first.attempt))
    assert lock is not None
    assert (await executor.start(first).outcome()).end is End.NEVER_STARTED
    os.close(lock)
    executor.prepare()
    second = executor.start(msgspec.structs.replace(first, attempt=2))
    assert not is_parked(int(second.handle or 0))
    second.stop("cancelled")
    assert (await second.outcome()).end is End.STOPPED
