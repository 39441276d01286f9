"""Programs that are there and cannot be started: the run says what is wrong with them."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aqueue.executors.local.program_errors import named
from aqueue.folder.layout import Folder
from tests.integration.executors.local.test_runner import Life
from tests.integration.recording import claimed

Write = Callable[..., Path]
Why = Callable[..., Awaitable[str]]

BASH = shutil.which("bash")
SHELLS = [None, *([BASH] if BASH else [])]
WINDOWS = "it has Windows line endings; to fix it, run `sed -i 's/\\r$//' {0}`"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str, mode: int = 0o755) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode())
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def why(folder: Folder, connection: sqlite3.Connection, tmp_path: Path) -> Why:
    async def why(command: str | tuple[str, ...], **task: Any) -> str:
        run = claimed(connection, folder, command=command, working_dir=str(tmp_path), **task)
        return (await Life(run, folder, 5.0).ends()).why

    return why


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", ["./run.sh", "true && ./run.sh -x", ("./run.sh", "a b")])
async def test_a_script_with_windows_line_ends_is_called_so(
    write: Write, why: Why, command: str | tuple[str, ...], shell: str | None
) -> None:
    write("run.sh", "#!/bin/sh\r\necho hi\r\n")
    expected = f"./run.sh begins with #!/bin/sh\\r: {WINDOWS.format('./run.sh')}"
    assert await why(command, shell=shell) == expected


INTERPRETERS = ["/bin/sh -e", "/bin/bash -e", "/bin/bash -o pipefail", f"{sys.executable} -u", "/usr/bin/awk -f"]


@pytest.mark.parametrize("interpreter", INTERPRETERS)
@pytest.mark.parametrize("command", ["true && ./run.sh x", ("./run.sh", "x")])
async def test_so_is_one_that_gives_its_interpreter_an_option(
    write: Write, why: Why, command: str | tuple[str, ...], interpreter: str
) -> None:
    if not Path(interpreter.split()[0]).exists():
        pytest.skip(f"there is no {interpreter}")
    write("run.sh", f"#!{interpreter}\r\ntrue\r\n")
    expected = f"./run.sh begins with #!{interpreter}\\r: {WINDOWS.format('./run.sh')}"
    assert await why(command) == expected


@pytest.mark.parametrize("first", ["", "#!/bin/sh -e\n", "#!/bin/sh\n"])
async def test_a_script_that_finds_an_option_wrong_itself_is_left_alone(
    write: Write, why: Why, first: str
) -> None:
    write("run.sh", f"{first}echo invalid option; exit 2\n")
    assert await why(("./run.sh", "x")) == "exit code 2: invalid option"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
async def test_so_is_one_whose_interpreter_env_looks_for(write: Write, why: Why, locale: str) -> None:
    write("run.py", "#!/usr/bin/env python3\r\nprint()\r\n")
    expected = f"./run.py begins with #!/usr/bin/env python3\\r: {WINDOWS.format('./run.py')}"
    assert await why(("./run.py", "--fast"), env={"LC_ALL": locale}) == expected


@pytest.mark.parametrize("shell", SHELLS)
async def test_so_is_one_that_a_shell_reads(write: Write, why: Why, shell: str | None) -> None:
    write("run.sh", "train\r\n")
    said = await why(f"{shell or 'sh'} run.sh")
    assert said == "command not found: train\\r: a script has Windows line endings"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", ["./run.py", ("./run.py",)])
async def test_an_interpreter_that_is_missing_is_named(
    write: Write, why: Why, command: str | tuple[str, ...], shell: str | None
) -> None:
    write("run.py", "#! /opt/none/python -u\n")
    expected = "./run.py begins with #!/opt/none/python -u, but /opt/none/python does not exist"
    assert await why(command, shell=shell) == expected


async def test_so_is_one_that_env_does_not_find(write: Write, why: Why) -> None:
    write("run.py", "#!/usr/bin/env nosuchpython\n")
    said = await why("exec ./run.py --fast")
    assert said == "./run.py begins with #!/usr/bin/env nosuchpython, but nosuchpython is not in PATH"


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_script_that_is_not_executable_is_called_so(write: Write, why: Why, shell: str | None) -> None:
    write("run me.sh", "#!/bin/sh\n", 0o644)
    said = await why("'./run me.sh'", shell=shell)
    assert said == ("./run me.sh is not executable; run `chmod +x './run me.sh'`, or start it with /bin/sh")


async def test_so_is_a_file_of_which_nobody_knows_what_starts_it(write: Write, why: Why) -> None:
    write("data", "1\n", 0o644)
    assert await why(("./data",)) == "./data is not executable; run `chmod +x ./data`"


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_directory_is_called_so(tmp_path: Path, why: Why, shell: str | None) -> None:
    (tmp_path / "run").mkdir()
    assert await why("./run", shell=shell) == "./run is a directory"


async def test_a_program_of_another_machine_is_called_so(write: Write, why: Why, tmp_path: Path) -> None:
    # Its loader is named in the place where that of the shell is.
    shell = Path(os.path.realpath("/bin/sh")).read_bytes()
    at = shell.find(b"/ld-")
    if at < 0:
        pytest.skip("the shell here needs no loader")
    (tmp_path / "prog").write_bytes(shell[:at] + b"/xx-" + shell[at + 4 :])
    (tmp_path / "prog").chmod(0o755)
    said = await why(("./prog", "-c", "true"))
    assert said == "./prog is not a program for this machine, or its loader is missing"


async def test_a_program_in_the_path_of_the_task_is_looked_at(write: Write, why: Why, tmp_path: Path) -> None:
    write("train", "#!/bin/sh\r\n")
    said = await why("train --fast", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert said.startswith("train begins with #!/bin/sh\\r: ")


@pytest.mark.parametrize("code", [126, 127])
async def test_what_is_all_right_is_not_blamed(write: Write, why: Why, code: int) -> None:
    write("run.sh", f"#!/bin/sh\nexit {code}\n")
    assert await why("./run.sh") == f"exit code {code}"


async def test_a_pipe_in_the_place_of_a_program_keeps_nobody_waiting(why: Why, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run", 0o644)
    assert await why(("./run",)) == "./run is not executable; run `chmod +x ./run`"


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("", None),
        ("all is well\n", None),
        ("sh: 1: exec: ./run.sh: not found\n", "./run.sh"),
        ("bash: line 1: ./run.sh: /opt/python: bad interpreter: No such file or directory\n", "./run.sh"),
        ("bash: ./run.sh: cannot execute: required file not found\n", "./run.sh"),
        ("env: \u2018python3\\r\u2019: No such file or directory\nenv: use -[v]S to pass options\n", "python3\r"),
        ("env: 'python3\\r': No such file or directory\n", "python3\r"),
        ("./run.sh: line 1: $'train\\r': command not found\n", "train\r"),
        ("a: not found\nb: not found\n", "b"),
    ],
)
def test_the_program_that_a_shell_complains_of_is_found(log: str, name: str | None) -> None:
    assert named(log) == name
