"""Without processes, threads or files to be had: what never began did not fail, and nothing is given up."""

import asyncio
import os
import resource
import shlex
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from aqueue.clock import Clock
from aqueue.executors.attempt_files import read_fence
from aqueue.executors.command import OWN_SHELL
from aqueue.executors.local import wrapper
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.isolation import plan
from aqueue.isolation.checkout import errors, git
from aqueue.model.outcome import End
from aqueue.server.open_files import raise_limit
from tests.integration.attempts import Attempts
from tests.integration.recording import claimed
from tests.limits import few_processes

WITH_PLAN = wrapper.script(has_plan=True, open_files=None)

WAITING = """\
import resource, threading, anyio
from aqueue.threads import in_thread

async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    async with anyio.create_task_group() as tasks:
        @tasks.start_soon
        async def _():
            print(await in_thread(lambda: "called"))
        await anyio.sleep(0.1)
        print("waiting", threading.active_count())
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))

resource.setrlimit(resource.RLIMIT_NPROC, (1, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
anyio.run(main)
"""


ASKING = """\
import resource, threading, anyio
from aqueue.threads import NoThreadError, start_threads, in_thread, warn_of_waiting

async def main():
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    try:
        await start_threads(2)
    except NoThreadError:
        print("none")
    warn_of_waiting(print)
    called = []
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(in_thread, lambda number=number: called.append(number))
        await anyio.sleep(0.7)
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    print(sorted(called))
    await start_threads(3)
    print(threading.active_count() - 1)

anyio.run(main)
"""


def run_wrapper(script: str, attempt: str, directory: Path, *arguments: str, processes: int | None = 1) -> int:
    """Run a wrapper whose user may have so many processes, and return its exit code."""
    shell = [*few_processes(processes), "/bin/sh", "-c", script, "/bin/sh"]
    return subprocess.run([*shell, attempt, str(directory), "", *arguments], check=False).returncode


def test_a_wrapper_that_cannot_fork_says_that_the_command_never_began(attempts: Attempts, tmp_path: Path) -> None:
    path = attempts.path()
    ran = tmp_path / "ran"
    assert run_wrapper(wrapper.PLAIN, path, tmp_path, "touch", str(ran)) == wrapper.NO_PROCESS
    fence = read_fence(path)
    assert fence is not None
    assert (fence.exit_code, fence.remark) == (wrapper.NO_PROCESS, "no process")
    assert not ran.exists()


def test_a_wrapper_that_cannot_look_at_old_metrics_says_that_the_command_never_began(
    attempts: Attempts, tmp_path: Path
) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    path = attempts.path()
    assert run_wrapper(wrapper.PLAIN, path, tmp_path, OWN_SHELL, "echo ran") == wrapper.NO_PROCESS


def test_a_wrapper_that_cannot_make_a_checkout_for_want_of_a_process_says_so(
    attempts: Attempts, tmp_path: Path
) -> None:
    path = attempts.path()
    assert run_wrapper(WITH_PLAN, path, tmp_path, "true") == wrapper.NO_PROCESS
    fence = read_fence(path)
    assert fence is not None
    assert fence.exit_code == wrapper.NO_PROCESS
    assert fence.remark


def test_git_that_cannot_fork_is_told_from_git_that_cannot_check_out() -> None:
    assert (errors.NO_PROCESS, errors.NO_ROOM) == (wrapper.NO_PROCESS, wrapper.NO_ROOM)
    said = b"fatal: unable to create threaded lstat: Resource temporarily unavailable\n"
    assert git.means_no_process(said)
    assert not git.means_no_process(b"fatal: bad object HEAD\n")


@pytest.mark.parametrize(("has_plan", "remark"), [(False, ""), (True, wrapper.UNFINISHED)])
def test_a_wrapper_that_cannot_fork_any_more_records_how_the_command_ended(
    attempts: Attempts, tmp_path: Path, has_plan: bool, remark: str
) -> None:
    path = attempts.path()
    script = wrapper.PLAIN
    if has_plan:
        # There is nothing to make.
        made = f"{shlex.join(plan.PROGRAM)} make"
        script = WITH_PLAN.replace(made, "true")
    command = "echo {} > metrics.json; prlimit --pid $$ --nproc=1; exit 7"
    assert run_wrapper(script, path, tmp_path, OWN_SHELL, command, processes=None) == 7
    fence = read_fence(path)
    assert fence is not None
    assert (fence.exit_code, fence.remark) == (7, remark)


async def test_a_command_that_exits_as_a_wrapper_without_a_process_has_failed(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    run = claimed(connection, folder, command=f"exit {wrapper.NO_PROCESS}")
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert runner.launch()
    outcome = await runner.wait()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, wrapper.NO_PROCESS)


async def test_what_never_began_under_a_server_that_is_gone_is_as_good_as_before(
    folder: Folder, connection: sqlite3.Connection
) -> None:
    run = claimed(connection, folder)
    folder.make_run_dir(run.id)
    Path(folder.attempt(run.id, 1) + ".pid").write_text(f"77\n{wrapper.NO_PROCESS} no process\n")
    outcome = await Runner(run, folder, Clock(), ProcessSettings({}, 1.0)).adopt("")
    assert outcome.end is End.NEVER_STARTED
    assert outcome.why == f"run {run.id} cannot have a process (no process)"


async def test_a_wrapper_that_is_killed_before_its_first_act_never_began_and_leaves_nothing(
    folder: Folder, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    run = claimed(connection, folder, command=f"touch {tmp_path}/ran")
    for number in range(run.id, 200):
        settings = ProcessSettings({"PATH": os.environ["PATH"]}, 1.0)
        runner = Runner(msgspec.structs.replace(run, id=number), folder, Clock(), settings)
        assert runner.launch()
        assert runner._process is not None
        os.kill(runner._process.pid, signal.SIGKILL)
        outcome = await runner.wait()
        if not Path(folder.attempt(number, 1) + ".log").exists():
            assert outcome.end is End.NEVER_STARTED
            assert not (tmp_path / "ran").exists()
            assert not list(folder.run_dir(number).glob("attempt-*"))
            return
        # It was faster.
        (tmp_path / "ran").unlink(missing_ok=True)
    pytest.fail("every shell was faster than the signal")


async def test_how_an_attempt_ended_is_found_out_once_files_can_be_opened_again(
    folder: Folder, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    run = claimed(
        connection, folder, command="echo AQUEUE_METRIC x=1; until [ -e go ]; do sleep 0.02; done; exit 7"
    )
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 1.0))
    assert runner.launch()
    ending = asyncio.create_task(runner.wait())
    await asyncio.sleep(0)
    (tmp_path / "go").touch()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        # Enough for it to end, and to be looked at.
        await asyncio.sleep(0.5)
        assert not ending.done()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    outcome = await ending
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 7)
    assert "x" in outcome.metrics


def test_a_thread_is_waited_for_where_none_can_be_had() -> None:
    command = [*few_processes(), sys.executable, "-c", WAITING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("waiting 1\ncalled\n", 0), done.stderr


def test_who_waits_for_a_thread_is_told_of_once_and_a_certain_number_can_be_asked_for() -> None:
    command = [*few_processes(), sys.executable, "-c", ASKING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = "none\ncannot start a thread; work waits until one can be started; see `ulimit -u`\n[0, 1, 2]\n3\n"
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


def test_a_server_may_open_as_many_files_as_it_is_allowed_and_its_commands_as_many_as_before(
    attempts: Attempts,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        files = raise_limit()
        assert files.before == 256
        assert files.most == min(before[1], 1 << 16)
        assert 0 < files.runs < files.most
        script = wrapper.script(has_plan=False, open_files=files.before)
        run_wrapper(script, attempts.path(), Path("/"), OWN_SHELL, "ulimit -n", processes=None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert Path(attempts.path() + ".log").read_text() == "256\n"
