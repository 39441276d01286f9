"""Arguments and variables reach a command whole, and do not affect the shell around it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from aqueue.executors.command import OWN_SHELL
from aqueue.executors.local.handover import hand_over
from aqueue.executors.local.procfs import command_pid
from aqueue.executors.local.wrapper import PLAIN
from tests.integration.attempts import Attempts

BASH = shutil.which("bash")
PATH = os.environ["PATH"]
_X = (
    # Of dash, bash, and programs: what they set, obey or take for numbers.
    *("ATTY", "HISTSIZE", "LANG", "LINENO", "MAIL", "OPTERR", "PPID", "RANDOM", "SECONDS", "SHLVL", "TMOUT", "_"),
    *("BASH", "BASHPID", "BASH_ARGV0", "BASH_COMMAND", "BASH_COMPAT", "BASH_EXECUTION_STRING", "BASH_SUBSHELL"),
    *("BASH_VERSION", "COMP_WORDBREAKS", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME"),
    *("FUNCNEST", "GROUPS", "HISTCMD", "PIPESTATUS", "SRANDOM", "UID", "\u00e9", "a.b"),
)
_NO_PATH = ("BASH_ENV", "ENV", "HOME", "LD_DEBUG_OUTPUT", "LD_LIBRARY_PATH", "OLDPWD", "PATH", "PWD", "PYTHONHOME")
_FUNCTIONS = [f"BASH_FUNC_{name}%%" for name in ("[", "cd", "command", "echo", "head", "stat", "true")]
HOSTILE = {
    **dict.fromkeys(_X, "x"),
    **dict.fromkeys(_NO_PATH, "/no"),
    **dict.fromkeys(_FUNCTIONS, "() {  exit 3\n}"),
    **dict.fromkeys(("EXECIGNORE", "GLOBIGNORE"), "*"),
    **dict.fromkeys(("OPTARG", "POSIXLY_CORRECT", "TERM", "a-b"), ""),
    **dict.fromkeys(("PS1", "PS2", "PS4"), "`kill $$`"),
    "BASHOPTS": "failglob",
    "CDPATH": "/:.",
    "IFS": "e/",
    "LC_ALL": "xx_YY",
    "LC_CTYPE": "C",
    "MAILPATH": "%",
    "OPTIND": "abc",
    "SHELLOPTS": "noexec",
    "lines": "1\n2\n\n",
    "quotes": "'\"`$(exit 3)\\",
}


def seen(output: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in output.split("\0") if entry)


def without_bash(told: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Return what a program was told, less what bash always says."""
    return {name: told[name] for name in told if name not in ("_", "SHLVL") or name in given}


def the_env() -> str:
    """Return the program that prints the environment; skip where it cannot print values with line ends."""
    env = shutil.which("env")
    if env is None or subprocess.run([env, "-0"], capture_output=True, check=False).returncode:
        pytest.skip("there is no env -0")
    return env


def runs_under_bash(
    tmp_path: Path, environment: dict[str, str], arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run the wrapper as where bash is the machine's sh, and return how it went; its output is the command's."""
    if BASH is None:
        pytest.skip("there is no bash")
    sh, attempt = tmp_path / "sh", tmp_path / "attempt"
    if not sh.exists():
        sh.symlink_to(BASH)
    for left in tmp_path.glob("attempt.*"):
        left.unlink()
    given, restoring, words = hand_over(environment, {"PATH": PATH}, str(tmp_path), arguments)
    script = [str(sh), "-c", PLAIN, str(sh), str(attempt), str(tmp_path), restoring, *words]
    ended = subprocess.run(script, env=given, stderr=subprocess.PIPE, text=True, check=False)
    ended.stdout = attempt.with_suffix(".log").read_text()
    return ended


async def test_a_program_sees_the_environment_that_it_is_given(attempts: Attempts, tmp_path: Path) -> None:
    given = {**HOSTILE, "PWD": str(tmp_path)}
    started = attempts.start([the_env(), "-0"], environment=given, working_dir=tmp_path)
    assert await started.ends() == 0
    assert seen(started.output) == given


async def test_each_variable_by_itself_reaches_a_program(attempts: Attempts, tmp_path: Path) -> None:
    env = the_env()
    for number, name in enumerate(HOSTILE):
        given = {"PWD": str(tmp_path), "PATH": PATH, name: HOSTILE[name]}
        path = attempts.path(number)
        started = attempts.start([env, "-0"], environment=given, working_dir=tmp_path, path=path)
        assert await started.ends() == 0
        assert without_bash(seen(started.output), given) == given


async def test_no_variable_keeps_a_shell_command_from_its_exit_code(attempts: Attempts) -> None:
    for number, name in enumerate(HOSTILE):
        started = attempts.start("exit 7", environment={name: HOSTILE[name]}, path=attempts.path(number))
        code = await started.ends()
        assert started.fence.exit_code == code
        # The command's own shell may not start with these.
        assert code == 7 or (name == "OPTIND" and "Illegal number: abc" in started.output) or name == "SHELLOPTS"


def test_where_sh_is_bash_each_variable_reaches_a_program(tmp_path: Path) -> None:
    env = the_env()
    for name in HOSTILE:
        given = {"PWD": str(tmp_path), "PATH": PATH, name: HOSTILE[name]}
        ended = runs_under_bash(tmp_path, given, [env, "-0"])
        assert ended.returncode == 0, name
        assert without_bash(seen(ended.stdout), given) == given


def test_where_sh_is_bash_functions_are_handed_on(tmp_path: Path) -> None:
    given = {"PATH": PATH, "BASH_FUNC_module%%": "() {  echo loaded $1\n}"}
    assert runs_under_bash(tmp_path, given, [OWN_SHELL, "module cuda"]).stdout == "loaded cuda\n"


async def test_nothing_is_left_of_the_handing_over(attempts: Attempts) -> None:
    started = attempts.start("set; env", environment={"PATH": "/no:" + PATH, "LD_X": "x", "OLDPWD": "/no"})
    assert await started.ends() == 0
    assert "AQUEUE_" not in started.output
    assert "\nLD_X=x\n" in started.output


async def test_a_value_is_on_no_command_line(attempts: Attempts, tmp_path: Path) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("command lines are looked up in /proc")
    given = {"PPID": "secret", "LD_X": "secret", "a.b": "secret", "x": "secret"}
    started = attempts.start(["sh", "-c", "echo ready; read x <go"], environment=given)
    os.mkfifo(tmp_path / "go")
    started.says("ready")
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (started.pid, command_pid(started.pid))]
    (tmp_path / "go").write_text("\n")
    await started.ends()
    assert lines[0] != lines[1]
    assert not [line for line in lines if "secret" in line]


async def test_a_library_that_is_no_good_is_for_the_command_alone(attempts: Attempts, tmp_path: Path) -> None:
    for name in ("libc.so.6", "libc.musl-x86_64.so.1"):
        (tmp_path / name).write_text("none\n")
    started = attempts.start(
        "echo $LD_LIBRARY_PATH; exit 7", environment={"LD_LIBRARY_PATH": str(tmp_path)}, working_dir=tmp_path
    )
    assert await started.ends() == 7
    assert started.output == f"{tmp_path}\n"


@pytest.mark.parametrize("changes", [{"PATH": "/no"}, {"PATH": "/no", "IFS": "a"}, {"EXECIGNORE": "*"}])
async def test_metrics_are_kept_whatever_the_command_looks_for_programs_with(
    attempts: Attempts, tmp_path: Path, changes: dict[str, str]
) -> None:
    started = attempts.start("echo '{}' >metrics.json", environment=changes, working_dir=tmp_path)
    assert await started.ends() == 0
    assert Path(started.path + ".metrics.json").read_text() == "{}\n"


@pytest.mark.parametrize("others", [{}, {"IFS": "a"}])
async def test_a_program_is_looked_for_where_the_command_says(
    attempts: Attempts, tmp_path: Path, others: dict[str, str]
) -> None:
    (tmp_path / "echo-it").write_text("echo $1 it\n")
    (tmp_path / "echo-it").chmod(0o755)
    started = attempts.start(["echo-it", "a  b"], environment={"PATH": str(tmp_path), **others})
    assert await started.ends() == 0
    assert started.output == "a b it\n"


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/", 126), ("./plain", 126)])
async def test_a_program_that_cannot_be_started_is_told_as_a_shell_tells_it(
    attempts: Attempts, tmp_path: Path, program: str, code: int
) -> None:
    (tmp_path / "plain").touch()
    started = attempts.start([program], environment={"IFS": "a"}, working_dir=tmp_path)
    assert await started.ends() == code
    assert started.output == f"{program}: {'not found' if code == 127 else 'Permission denied'}\n"


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT])
async def test_signals_mean_what_they_mean_to_any_command(attempts: Attempts, number: signal.Signals) -> None:
    started = attempts.start(["sh", "-c", f"kill -{number} $$; exit 7"], environment={"IFS": "a"})
    assert await started.ends() == 128 + number


async def test_the_parent_of_a_shell_command_is_the_wrapper(attempts: Attempts, tmp_path: Path) -> None:
    (tmp_path / "sourced").write_text("echo $PPID\n")
    started = attempts.start('echo $PPID $# "$1"; . ./sourced; env | grep PPID', "a  b", working_dir=tmp_path)
    await started.ends()
    assert started.output == f"{started.pid} 1 a  b\n{started.pid}\n"


def test_so_it_is_where_sh_is_bash(tmp_path: Path) -> None:
    (tmp_path / "sourced").write_text("echo $PPID\n")
    ended = runs_under_bash(tmp_path, {"PATH": PATH}, [OWN_SHELL, 'echo $# "$1"; . ./sourced; exit 7', "a  b"])
    wrapper = (tmp_path / "attempt.pid").read_text().split()[0]
    assert (ended.returncode, ended.stdout) == (7, f"1 a  b\n{wrapper}\n")


@pytest.mark.parametrize("command", ["kill $PPID; exit 7", ["sh", "-c", "kill $PPID; exit 7"]])
async def test_a_command_that_asks_its_parent_to_end_goes_on(attempts: Attempts, command: str | list[str]) -> None:
    started = attempts.start(command)
    assert await started.ends() == 7
    assert started.fence.exit_code == 7


async def test_a_command_that_kills_its_parent_is_killed_itself(attempts: Attempts) -> None:
    started = attempts.start("kill -KILL $PPID; sleep 300")
    assert await started.ends() == 128 + signal.SIGKILL
    assert started.fence.exit_code is None
