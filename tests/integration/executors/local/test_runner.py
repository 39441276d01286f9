"""One attempt's life under a server: start, timeout, stop, and what is said of its end."""

import asyncio
import errno
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aqueue.clock import Clock
from aqueue.executors.local.procfs import group_has_members
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.policy.retry import explain
from aqueue.processes import is_alive
from tests.integration.recording import claimed
from tests.waiting import eventually_async

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


class Life:
    """A run that was claimed just now, and its runner."""

    def __init__(self, run: Run, folder: Folder, grace: float) -> None:
        self.run = run
        self.log = folder.log(run.id, run.attempt)
        environment = {"PATH": os.environ["PATH"], "FROM": "server"}
        self.runner = Runner(run, folder, Clock(), ProcessSettings(environment, grace))

    async def ends(self) -> Outcome:
        self.runner.launch()
        return await self.runner.wait()

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    async def says(self, text: str) -> None:
        await eventually_async(lambda: text in self.output)

    @property
    def fence(self) -> str:
        path = self.log.with_suffix(".pid")
        return path.read_text() if path.exists() else ""

    @property
    def pid(self) -> int:
        return int(self.fence.split()[0])


@pytest.fixture
def new_life(folder: Folder, connection: sqlite3.Connection) -> Callable[..., Life]:
    def new_life(command: str | tuple[str, ...], grace: float = 5.0, **changes: Any) -> Life:
        run = claimed(connection, folder, command=command, **changes)
        return Life(run, folder, grace)

    return new_life


NewLife = Callable[..., Life]


@pytest.mark.parametrize("code", [0, 1, 2, 122, 123, 126, 255])
async def test_the_outcome_has_the_exit_code_of_the_command(new_life: NewLife, code: int) -> None:
    outcome = await new_life(f"exit {code}").ends()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, code)


async def test_the_outcome_has_the_signal_that_ended_the_command(new_life: NewLife) -> None:
    outcome = await new_life(("sh", "-c", "kill -KILL $$")).ends()
    assert (outcome.end, outcome.exit_code, outcome.signal) == (End.EXITED, 137, 9)


async def test_a_command_sees_what_it_is_told_about_its_run(new_life: NewLife, folder: Folder) -> None:
    life = new_life("env", name="train", queue="gpu", params={"lr": 0.1}, env={"FROM": "task", "X": "${lr}"})
    assert (await life.ends()).exit_code == 0
    seen = dict(line.partition("=")[::2] for line in life.output.splitlines())
    run = life.run
    assert {
        "lr": "0.1",
        "FROM": "task",
        "X": "0.1",
        "AQUEUE_ID": str(run.id),
        "AQUEUE_RUN_ID": run.run_id,
        "AQUEUE_NAME": "train",
        "AQUEUE_QUEUE": "gpu",
        "AQUEUE_ATTEMPT": "1",
        "AQUEUE_RUN_DIR": str(folder.run_dir(run.id)),
    }.items() <= seen.items()


async def test_a_task_can_name_its_shell(new_life: NewLife) -> None:
    life = new_life("echo $0 $1; exit 3", shell="/bin/sh", arguments=("a",))
    assert (await life.ends()).exit_code == 3
    assert life.output == "/bin/sh a\n"


@pytest.mark.parametrize("program", ["own", "shell", "${empty}", "${null}"])
async def test_a_list_is_never_run_as_shell_text_whatever_its_program_is_called(
    new_life: NewLife, tmp_path: Path, program: str
) -> None:
    life = new_life((program, f"touch {tmp_path}/ran"), params={"empty": "", "null": None})
    outcome = await life.ends()
    assert not (tmp_path / "ran").exists()
    assert outcome.exit_code != 0


@pytest.mark.parametrize("command", ["trian.py --fast", ("trian.py", "--fast"), "true; trian.py"])
async def test_a_command_that_is_not_found_is_named(new_life: NewLife, command: str | tuple[str, ...]) -> None:
    outcome = await new_life(command).ends()
    assert outcome.why == "command not found: trian.py"


async def test_a_shell_that_is_not_found_is_named(new_life: NewLife) -> None:
    outcome = await new_life("true", shell="/bin/no-such-shell").ends()
    assert outcome.why == "command not found: /bin/no-such-shell"


async def test_a_missing_working_directory_is_a_failure_to_start(new_life: NewLife, tmp_path: Path) -> None:
    outcome = await new_life("true", working_dir=str(tmp_path / "nowhere")).ends()
    assert outcome.end is End.FAILED_TO_START
    assert outcome.why.endswith(f"working_dir {tmp_path}/nowhere does not exist")


@pytest.mark.parametrize("path", ["file", "file/below"])
async def test_a_file_in_place_of_the_working_directory_is_a_failure_to_start(
    new_life: NewLife, tmp_path: Path, path: str
) -> None:
    (tmp_path / "file").touch()
    outcome = await new_life("true", working_dir=str(tmp_path / path)).ends()
    assert outcome.end is End.FAILED_TO_START
    assert outcome.why.endswith(f"working_dir {tmp_path}/{path} is not a directory")


async def test_too_long_a_command_is_a_failure_to_start(new_life: NewLife) -> None:
    outcome = await new_life("x" * (1 << 22)).ends()
    assert outcome.end is End.FAILED_TO_START
    assert "too long" in outcome.why


async def test_an_attempt_whose_fence_is_closed_never_starts(new_life: NewLife, folder: Folder) -> None:
    # As for a server that slept until it was taken for dead.
    life = new_life("echo ran")
    folder.make_run_dir(life.run.id)
    life.log.with_suffix(".pid").touch()
    assert (await life.ends()).end is End.NEVER_STARTED
    assert life.output == ""


async def test_a_log_without_room_means_that_nothing_ran(
    new_life: NewLife, folder: Folder, tmp_path: Path
) -> None:
    life = new_life(f"touch {tmp_path}/ran")
    folder.make_run_dir(life.run.id)
    life.log.mkdir()
    assert (await life.ends()).end is End.NEVER_STARTED
    assert not (tmp_path / "ran").exists()


async def test_an_attempt_that_takes_too_long_is_stopped_with_all_that_it_started(new_life: NewLife) -> None:
    life = new_life("sleep 300 & sleep 300", grace=60.0, timeout=0.3)
    before = time.time()
    outcome = await life.ends()
    assert outcome.at - (life.run.started_at or 0.0) >= 0.3
    assert time.time() - before < 30.0
    assert outcome.end is End.TIMED_OUT
    assert explain(outcome) == "timed out after 300ms"
    assert not group_has_members(life.pid)


async def test_an_attempt_that_is_in_time_is_not_stopped(new_life: NewLife) -> None:
    outcome = await new_life("sleep 0.1; exit 3", timeout=60.0).ends()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 3)


async def test_an_attempt_that_ignores_sigterm_is_killed_after_its_grace(new_life: NewLife) -> None:
    life = new_life(STUBBORN, grace=0.2, timeout=0.2)
    outcome = await life.ends()
    assert (outcome.end, outcome.exit_code) == (End.TIMED_OUT, 137)
    assert not group_has_members(life.pid)


async def test_an_attempt_can_be_stopped(new_life: NewLife) -> None:
    life = new_life("sleep 300 & echo ready; sleep 300")
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(life.ends())
        await life.says("ready")
        life.runner.stop("cancelled")
        life.runner.stop("stopped twice")
    outcome = ending.result()
    assert (outcome.end, outcome.why, outcome.exit_code) == (End.STOPPED, "cancelled", 143)
    assert not group_has_members(life.pid)


async def test_a_stopped_attempt_may_clean_up_and_keeps_its_exit_code(new_life: NewLife) -> None:
    life = new_life("trap 'echo cleaned up; exit 7' TERM; echo ready; while :; do sleep 0.05; done", grace=60.0)
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(life.ends())
        await life.says("ready")
        life.runner.stop("cancelled")
    assert (ending.result().end, ending.result().exit_code) == (End.STOPPED, 7)
    assert "cleaned up" in life.output


async def test_an_attempt_that_is_stopped_before_it_is_waited_for_ends_at_once(new_life: NewLife) -> None:
    life = new_life("sleep 300")
    life.runner.launch()
    life.runner.stop("cancelled")
    assert (await life.runner.wait()).end is End.STOPPED


@pytest.mark.parametrize("milliseconds", [0.5 * step for step in range(24)])
async def test_a_signal_just_after_the_start_reaches_the_command(new_life: NewLife, milliseconds: float) -> None:
    life = new_life("sleep 300", grace=60.0)
    life.runner.launch()
    await asyncio.sleep(milliseconds / 1000)
    life.runner.stop("cancelled")
    async with asyncio.timeout(20):
        assert (await life.runner.wait()).end is End.STOPPED


async def test_what_a_command_leaves_behind_is_ended_and_its_exit_code_kept(new_life: NewLife) -> None:
    life = new_life("sleep 300 & echo $!; exit 3")
    outcome = await life.ends()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 3)
    assert not is_alive(int(life.output))


async def test_an_attempt_that_is_stopped_after_its_end_keeps_its_exit_code(new_life: NewLife) -> None:
    life = new_life(f"({STUBBORN}) & exit 3", grace=0.5)
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(life.ends())
        await eventually_async(lambda: life.fence.endswith("\n3\n"))
        life.runner.stop("cancelled")
    assert (ending.result().end, ending.result().exit_code) == (End.EXITED, 3)
    assert not group_has_members(life.pid)


async def test_a_server_that_leaves_does_not_touch_what_runs(new_life: NewLife) -> None:
    life = new_life("echo ready; sleep 300")
    waiting = asyncio.create_task(life.ends())
    await life.says("ready")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert is_alive(life.pid)
    os.killpg(life.pid, 9)
    os.waitpid(life.pid, 0)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
async def test_a_run_that_cannot_have_a_process_just_then_is_as_good_as_before(
    new_life: NewLife, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    life = new_life("echo ran")
    monkeypatch.setattr(os, "posix_spawn", refuse)
    outcome = await life.ends()
    assert (outcome.end, life.output) == (End.NEVER_STARTED, "")
    assert outcome.why == f"run {life.run.id} cannot have a process ({os.strerror(number)})"
