"""The wrapper around a command: nothing that a command does, or that is done to its group, breaks it."""

import signal
import time
from pathlib import Path

import pytest

from aqueue.executors.local.process import end_group
from aqueue.executors.local.procfs import group_has_members
from aqueue.processes import is_alive
from tests.integration.attempts import Attempts

FEW_SECONDS = 30.0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exit 3", 3),
        ("exec sh -c 'exit 4'", 4),
        ("trap 'exit 5' EXIT", 5),
        ("trap '' HUP INT TERM; exit 6", 6),
        ("set -e; false; exit 7", 1),
        ("set -- x y; shift; exit 8", 8),
        ("set -x; exit 9", 9),
        ("set -C; exit 10", 10),
        ("cd /; exit 11", 11),
        ("exec >/dev/null 2>&1; exit 12", 12),
        ("exec 0<&- 1>&- 2>&-; exit 13", 13),
        ("kill $$; exit 14", 14),
        ("kill -HUP -$$; exit 15", 128 + signal.SIGHUP),
        ("unset PATH; exit 16", 16),
        ("alias echo=false exit=true; exit 17", 17),
        ("echo() { false; }; exit 18", 18),
        ("readonly PPID IFS PATH; exit 19", 19),
        ("umask 777; exit 20", 20),
        ("ulimit -f 0; exit 21", 21),
        ("(exit 22)", 22),
        ("true & exit 23", 23),
        ("false || true", 0),
        ("exec no-such-program", 127),
        ("set -n; exit 24", 0),
    ],
)
async def test_the_exit_code_is_recorded_whatever_a_shell_command_does(
    attempts: Attempts, command: str, code: int
) -> None:
    started = attempts.start(command)
    assert await started.ends() == code
    assert started.fence.exit_code == code


@pytest.mark.parametrize("command", ["if", "'", ")", "}", "echo )(", "case x in", "set -u; echo $none"])
async def test_a_shell_command_that_is_wrong_fails_by_itself(attempts: Attempts, command: str) -> None:
    started = attempts.start(f"{command}\ntouch ran-on")
    code = await started.ends()
    assert code not in (0, None)
    assert started.fence.exit_code == code


async def test_a_command_that_kills_the_wrapper_is_killed(attempts: Attempts) -> None:
    started = attempts.start("kill -KILL $$; sleep 300")
    assert await started.ends() == 128 + signal.SIGKILL
    assert started.fence.exit_code is None
    await started.process.end_group(FEW_SECONDS)
    assert not group_has_members(started.pid)


async def test_a_command_cleans_up_at_sigterm_and_keeps_its_exit_code(attempts: Attempts) -> None:
    started = attempts.start("trap 'echo cleaned up; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    started.says("ready")
    started.signal(signal.SIGTERM)
    assert await started.ends() == 7
    assert "cleaned up" in started.output
    assert started.fence.exit_code == 7


async def test_a_program_cleans_up_at_sigterm_and_keeps_its_exit_code(attempts: Attempts) -> None:
    script = "trap 'echo cleaned up; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    started = attempts.start(["sh", "-c", script])
    started.says("ready")
    started.signal(signal.SIGTERM)
    assert await started.ends() == 7
    assert "cleaned up" in started.output


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "ALRM", "TERM", "USR1", "USR2"])
async def test_the_wrapper_outlives_a_signal_to_the_group(attempts: Attempts, tmp_path: Path, name: str) -> None:
    started = attempts.start(f"trap '' {name}; echo ready; while [ ! -e go ]; do sleep 0.02; done; exit 9")
    started.says("ready")
    started.signal(signal.Signals[f"SIG{name}"])
    (tmp_path / "go").touch()
    assert await started.ends() == 9
    assert started.fence.exit_code == 9


@pytest.mark.parametrize("command", ["echo ready; exec sleep 300", ["sh", "-c", "echo ready; exec sleep 300"]])
async def test_a_command_is_interrupted_by_sigint(attempts: Attempts, command: str | list[str]) -> None:
    started = attempts.start(command)
    started.says("ready")
    started.signal(signal.SIGINT)
    assert await started.ends() == 128 + signal.SIGINT


async def test_end_group_kills_what_ignores_sigterm(attempts: Attempts) -> None:
    started = attempts.start("(trap '' TERM; echo ready; while :; do sleep 0.05; done) & wait")
    started.says("ready")
    await started.process.end_group(0.2)
    assert not group_has_members(started.pid)
    assert await started.ends() is not None


async def test_end_group_waits_no_longer_than_it_takes(attempts: Attempts) -> None:
    started = attempts.start("echo ready; sleep 300 & sleep 300")
    started.says("ready")
    before = time.monotonic()
    await started.process.end_group(60.0)
    assert time.monotonic() - before < FEW_SECONDS
    assert not group_has_members(started.pid)


async def test_end_group_lets_a_command_clean_up_for_as_long_as_it_grants(attempts: Attempts) -> None:
    started = attempts.start(
        "trap 'sleep 0.3; echo cleaned up; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    )
    started.says("ready")
    await started.process.end_group(60.0)
    assert await started.ends() == 7
    assert "cleaned up" in started.output


async def test_end_group_ends_what_a_finished_command_left_behind(attempts: Attempts) -> None:
    started = attempts.start("sleep 300 & echo $!")
    assert await started.ends() == 0
    left = int(started.output)
    assert group_has_members(started.pid)
    await started.process.end_group(FEW_SECONDS)
    assert not is_alive(left)


async def test_end_group_of_nobody_does_nothing(attempts: Attempts) -> None:
    started = attempts.start("true")
    await started.ends()
    await end_group(started.pid, 60.0)
    assert not group_has_members(started.pid)
