"""The input of an attempt: what is sent to it, its end, and that nothing of it is left."""

import signal
import stat
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from aqueue.executors import attempt_input
from aqueue.executors.attempt_input import ClosedError, FullError, NotOpenError
from aqueue.executors.local import waiting_for_input
from aqueue.executors.local.procfs import command_pid, group_has_members
from tests.integration.attempts import Attempts, Started
from tests.waiting import eventually

PATIENCE = 30.0
COPY = [sys.executable, "-uc", "import sys\nfor line in sys.stdin: print('got', line, end='')\nprint('end')"]


@pytest.fixture(params=[False, True], ids=["new", "parked"])
def parked(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def send(started: Started, text: str, *, ends: bool = False, patience: float = PATIENCE) -> None:
    attempt_input.send(started.path, text.encode(), ends=ends, patience=patience)


@pytest.mark.parametrize("command", [COPY, "cat; echo end"], ids=["program", "shell"])
async def test_what_is_sent_is_read_until_its_end_is(attempts: Attempts, command: str | list[str]) -> None:
    started = attempts.start(command, has_input=True)
    send(started, "one\n")
    started.says("one\n")
    send(started, "two\n")
    started.says("two\n")
    send(started, "three\n", ends=True)
    assert await started.ends() == 0
    assert [line.removeprefix("got ") for line in started.output.splitlines()] == ["one", "two", "three", "end"]
    assert started.fence.exit_code == 0


async def test_input_that_is_sent_at_once_with_its_end_is_read_whole(attempts: Attempts) -> None:
    text = "x" * 999 + "\n"
    started = attempts.start("wc -c", has_input=True)
    send(started, text * 1000, ends=True)
    assert await started.ends() == 0
    assert started.output.split() == ["1000000"]


@pytest.mark.parametrize("command", ["exit 3", "read line; exit 4", "exec 0<&-; exit 5", "cat & exit 6"])
async def test_nothing_is_left_of_a_command_that_does_not_read_its_input_to_its_end(
    attempts: Attempts, command: str
) -> None:
    started = attempts.start(command, has_input=True)
    if "read" in command:
        send(started, "a line\nmore\n")
    code = await started.ends()
    assert code == started.fence.exit_code == int(command[-1])
    if "&" in command and "<" not in command:
        await started.process.end_group(PATIENCE)
    eventually(lambda: not group_has_members(started.pid))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_nothing_is_left_of_one_that_is_stopped(attempts: Attempts, number: int) -> None:
    started = attempts.start("exec cat", has_input=True)
    send(started, "x\n")
    started.says("x")
    started.signal(number)
    assert await started.ends() == 128 + number
    eventually(lambda: not group_has_members(started.pid))


async def test_the_only_child_of_the_wrapper_is_the_command(attempts: Attempts) -> None:
    started = attempts.start("exec cat", has_input=True)
    send(started, "x\n")
    started.says("x")
    assert Path(f"/proc/{command_pid(started.pid)}/comm").read_text() == "cat\n"


async def test_a_command_that_waits_for_its_input_is_recognised(attempts: Attempts) -> None:
    started = attempts.start("read line; echo read; sleep 300 | cat", has_input=True)

    def waits() -> bool:
        return waiting_for_input.is_among(command_pid(started.pid), started.path)

    # Where the kernel does not say in what a process waits, nobody can know.
    eventually(lambda: waits() or Path(f"/proc/{started.pid}/wchan").read_text() == "0")
    send(started, "x\n")
    started.says("read")
    eventually(lambda: not waits())


async def test_a_sender_waits_for_the_command_to_begin(attempts: Attempts) -> None:
    path = attempts.path()
    attempt_input.make(path)
    sender = threading.Thread(target=partial(attempt_input.send, path, b"x\n", ends=True, patience=PATIENCE))
    sender.start()
    started = attempts.start("cat", path=path, has_input=True)
    assert await started.ends() == 0
    sender.join()
    assert started.output == "x\n"


async def test_what_cannot_be_sent_is_refused(attempts: Attempts) -> None:
    path = attempts.path()
    with pytest.raises(NotOpenError):
        attempt_input.send(path, b"x\n", ends=False, patience=0)
    started = attempts.start("cat; echo ended; sleep 300", has_input=True)
    send(started, "", ends=True)
    started.says("ended")
    with pytest.raises(ClosedError):
        send(started, "x\n")
    with pytest.raises(ClosedError):
        send(started, "", ends=True)
    started.signal(signal.SIGKILL)
    await started.ends()
    eventually(lambda: not group_has_members(started.pid))
    with pytest.raises(NotOpenError):
        send(started, "x\n", patience=0)


async def test_more_than_fits_is_refused_where_nobody_reads(attempts: Attempts) -> None:
    started = attempts.start("echo begun; sleep 300", has_input=True)
    started.says("begun")
    with pytest.raises(FullError) as full:
        send(started, "x" * 200_000, patience=0.2)
    assert 0 < full.value.left < 200_000


def test_the_input_is_of_its_user_alone_and_may_be_made_twice(attempts: Attempts, tmp_path: Path) -> None:
    path = attempts.path()
    (tmp_path / "elsewhere").touch()
    Path(f"{path}.stdin").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        attempt_input.make(path)
    modes = [Path(f"{path}{suffix}").lstat().st_mode for suffix in (".stdin", ".stdin-end")]
    assert modes == [stat.S_IFIFO | 0o600] * 2
    attempt_input.remove(path)
    assert list(Path(path).parent.glob("*.stdin*")) == []
    Path(f"{path}.stdin").touch()
    with pytest.raises(FileExistsError):
        attempt_input.make(path)
