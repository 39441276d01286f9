"""The process of a command: its directory, environment, output, exit code, signals and open files."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aqueue.executors.attempt_files import read_fence
from aqueue.executors.local.attempt_locks import inherited_descriptor, is_held
from aqueue.executors.local.process import Launch, spawn
from aqueue.executors.local.wrapper import FENCED, NO_FENCE, NO_WORKING_DIR
from aqueue.folder.layout import Folder
from tests.integration.attempts import Attempts


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.at_length), True], ids=["spawned", "parked"])
def parked(request: pytest.FixtureRequest) -> bool:
    """Whichever way a shell comes to its attempt, it is the same wrapper, under any version of Python."""
    return bool(request.param)


async def test_a_command_runs_in_its_working_directory(attempts: Attempts, tmp_path: Path) -> None:
    odd = tmp_path / "my 'odd' $dir"
    odd.mkdir()
    started = attempts.start("pwd -P", working_dir=odd)
    assert await started.ends() == 0
    assert started.output == f"{odd.resolve()}\n"


async def test_a_command_sees_the_environment_it_is_given_and_no_other(attempts: Attempts) -> None:
    os.environ["AQUEUE_TEST_LEAK"] = "leaked"
    try:
        started = attempts.start([sys.executable, "-c", _PRINT_VARIABLES], environment={"A": "x\ny", "B": ""})
        assert await started.ends() == 0
    finally:
        del os.environ["AQUEUE_TEST_LEAK"]
    assert started.output == "'x\\ny' '' None\n"


_PRINT_VARIABLES = "import os; print(*(repr(os.environ.get(k)) for k in ('A', 'B', 'AQUEUE_TEST_LEAK')))"


async def test_output_and_errors_are_appended_to_the_log(attempts: Attempts) -> None:
    path = attempts.path()
    Path(path + ".log").write_text("before\n")
    started = attempts.start("echo out; echo err >&2; echo out again", path=path)
    assert await started.ends() == 0
    assert started.output == "before\nout\nerr\nout again\n"


async def test_output_is_in_the_log_while_the_command_runs(attempts: Attempts) -> None:
    started = attempts.start("echo working; sleep 300")
    started.says("working")


async def test_log_and_fence_are_for_their_owner_alone_behind_the_state_directory(attempts: Attempts) -> None:
    started = attempts.start("true")
    await started.ends()
    assert os.stat(os.path.dirname(started.path)).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("code", [0, 1, 2, 3, 77, NO_WORKING_DIR, FENCED, 126, 127, 255])
@pytest.mark.parametrize("as_list", [False, True])
async def test_the_exit_code_is_the_commands_own(attempts: Attempts, code: int, as_list: bool) -> None:
    started = attempts.start(["sh", "-c", f"exit {code}"] if as_list else f"exit {code}")
    assert await started.ends() == code
    assert started.fence.exit_code == code
    assert started.fence.remark == ""


# Without a core file, which some signals would leave in the working directory.
_KILL_ITSELF = """\
import os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
number = signal.Signals[sys.argv[1]]
if number != signal.SIGKILL:
    signal.signal(number, signal.SIG_DFL)
os.kill(os.getpid(), number)
print("survived")
"""


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "KILL", "USR1", "SEGV", "PIPE", "ALRM", "TERM"])
async def test_a_command_that_a_signal_ended_has_exit_code_128_and_its_number(
    attempts: Attempts, name: str
) -> None:
    started = attempts.start([sys.executable, "-c", _KILL_ITSELF, f"SIG{name}"])
    assert await started.ends() == 128 + signal.Signals[f"SIG{name}"]
    assert "survived" not in started.output
    assert started.fence.exit_code == 128 + signal.Signals[f"SIG{name}"]


async def test_a_shell_command_gets_its_positional_params_as_they_are(attempts: Attempts) -> None:
    params = ("a b", "", "*", "-n", "$HOME", "'", "last\nline")
    started = attempts.start('printf "%s|" "$#" "$@"', *params)
    assert await started.ends() == 0
    assert started.output == "|".join(("7", *params)) + "|"


async def test_a_list_gets_its_arguments_as_they_are(attempts: Attempts) -> None:
    arguments = ("a b", "", "*", "$HOME", "$(echo no)", "'", "last\nline")
    started = attempts.start(["printf", "%s|", *arguments])
    assert await started.ends() == 0
    assert started.output == "|".join(arguments) + "|"


async def test_a_shell_command_may_have_many_lines_and_a_here_document(attempts: Attempts) -> None:
    started = attempts.start("cat <<END\nfirst\nsecond\nEND\n# a comment\nexit 3 # and another")
    assert await started.ends() == 3
    assert started.output == "first\nsecond\n"


@pytest.mark.parametrize("builtin", [["exit", "3"], ["eval", "echo hello"], ["trap", "", "TERM"], ["set", "-x"]])
async def test_what_only_a_shell_knows_is_not_run_as_a_list(attempts: Attempts, builtin: list[str]) -> None:
    started = attempts.start(builtin)
    assert await started.ends() == 127
    assert "not found" in started.output
    assert "hello" not in started.output


@pytest.mark.parametrize("command", ["no-such-program --fast", ["no-such-program", "--fast"]])
async def test_a_command_that_is_not_found_exits_with_127(attempts: Attempts, command: str | list[str]) -> None:
    started = attempts.start(command)
    assert await started.ends() == 127
    assert "no-such-program" in started.output


async def test_a_file_that_is_no_program_exits_with_126(attempts: Attempts, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a program\n")
    assert await attempts.start([str(tmp_path / "data")]).ends() == 126


async def test_a_missing_working_directory_is_told_apart_from_the_same_exit_code(
    attempts: Attempts, tmp_path: Path
) -> None:
    started = attempts.start("echo ran", working_dir=tmp_path / "nowhere")
    assert await started.ends() == NO_WORKING_DIR
    assert started.fence.exit_code == NO_WORKING_DIR
    assert started.fence.remark != ""
    assert "ran" not in started.output


async def test_a_file_is_no_working_directory(attempts: Attempts, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    started = attempts.start("true", working_dir=tmp_path / "file")
    assert await started.ends() == NO_WORKING_DIR
    assert started.fence.remark != ""


async def test_nothing_runs_where_the_log_cannot_be_opened(attempts: Attempts, tmp_path: Path) -> None:
    path = attempts.path()
    Path(path + ".log").mkdir()
    started = attempts.start(f"touch {tmp_path}/ran", path=path)
    assert await started.ends() == NO_FENCE
    assert read_fence(path) is None
    assert not (tmp_path / "ran").exists()


def test_arguments_that_are_too_long_are_an_error_at_once(attempts: Attempts, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        spawn(Launch(attempts.path(), str(tmp_path), ["true", "x" * (1 << 22)], {}))


async def test_standard_input_is_empty(attempts: Attempts) -> None:
    started = attempts.start("cat; readlink /proc/self/fd/0" if _HAS_PROC else "cat; echo /dev/null")
    assert await started.ends() == 0
    assert started.output == "/dev/null\n"


_HAS_PROC = Path("/proc/self/fd").exists()
_PRINT_OPEN = """\
import os
import resource
for fd in range(3, 256):
    try: os.fstat(fd)
    except OSError: continue
    print(fd)
"""


@pytest.mark.parametrize("as_list", [False, True])
async def test_a_command_gets_none_of_the_files_that_the_server_opened(attempts: Attempts, as_list: bool) -> None:
    reader, writer = os.pipe()
    try:
        program = [sys.executable, "-c", _PRINT_OPEN]
        started = attempts.start(program if as_list else f"{program[0]} -c '{_PRINT_OPEN}'")
        assert await started.ends() == 0
    finally:
        os.close(reader)
        os.close(writer)
    open_files = {int(line) for line in started.output.splitlines()} - {inherited_descriptor()}
    assert open_files <= {descriptor for descriptor in range(3, 256) if _is_inherited(descriptor)}


def _is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def test_a_command_gets_none_of_the_files_that_the_server_inherited(folder: Folder) -> None:
    # A lock or a pipe of the shell that started the server would be held by each of its runs.
    reader, writer = os.pipe()
    try:
        task = json.dumps({"command": [sys.executable, "-c", _PRINT_OPEN]})
        (folder.path / "print.yaml").write_text(task)
        serve = [sys.executable, "-m", "aqueue", "serve", "--drain", str(folder.path)]
        subprocess.run(serve, pass_fds=[writer], stdout=subprocess.DEVNULL, check=True)
    finally:
        os.close(reader)
        os.close(writer)
    assert folder.log(1, 1).read_text() == f"{inherited_descriptor()}\n"


@pytest.mark.skipif(not _HAS_PROC, reason="needs /proc")
@pytest.mark.parametrize("command", ["exec cat /proc/self/status", ["cat", "/proc/self/status"]])
async def test_a_command_ignores_and_blocks_no_signal(attempts: Attempts, command: str | list[str]) -> None:
    # Python ignores SIGPIPE, the server SIGIO, and nohup SIGHUP.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGIO, signal.SIGHUP)}
    try:
        started = attempts.start(command)
        assert await started.ends() == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    masks = dict(line.split(":\t") for line in started.output.splitlines() if line.startswith("Sig"))
    # The C library keeps two above the first 31 for itself.
    assert int(masks["SigIgn"], 16) & 0x7FFFFFFF == 0
    assert int(masks["SigBlk"], 16) & 0x7FFFFFFF == 0


async def test_a_command_leads_a_session_of_its_own(attempts: Attempts) -> None:
    started = attempts.start([sys.executable, "-c", "import os; print(os.getsid(0), os.getpgid(0))"])
    assert await started.ends() == 0
    assert started.output == f"{started.pid} {started.pid}\n"


def test_where_no_more_files_can_be_opened_nothing_is_started(attempts: Attempts) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = max(int(name) for name in os.listdir("/dev/fd")) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now, hard))
    try:
        # All below the limit are taken too.
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            attempts.start("exit 5")
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read_fence(attempts.path()) is None


async def test_where_few_files_can_be_opened_an_attempt_holds_its_lock(attempts: Attempts) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        started = attempts.start("echo ready; read line </dev/null; sleep 300")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    started.says("ready")
    assert is_held(started.path)
    await started.process.end_group(10.0)
    await started.ends()
    assert is_held(started.path) is False


async def test_without_a_pidfd_any_number_of_processes_can_be_waited_for(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    long = [
        attempts.start("while [ ! -e over ]; do sleep 0.1; done", path=attempts.path(run)) for run in range(2, 47)
    ]
    waiting = [asyncio.create_task(one.ends()) for one in long]
    await asyncio.sleep(0)
    async with asyncio.timeout(20.0):
        assert await attempts.start("exit 3").ends() == 3
    assert not any(task.done() for task in waiting)
    for one in long:
        one.signal(signal.SIGKILL)
    await asyncio.gather(*waiting)
