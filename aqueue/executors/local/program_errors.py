"""Reasons why a program did not start: a shell says "not found" even for files that exist.

Examples are a script with Windows line endings, or one whose interpreter is missing. The shell's error message
names the file; after the attempt is over, the file is examined here.
"""

import os
import re
import shlex
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from aqueue.executors.command import A_LIST, is_line

NOT_STARTED: Final = (126, 127)
"""The exit codes with which a shell reports that a program could not start."""

_COMPLAINT: Final = re.compile(
    r"(?:^|: )(?P<what>[^:\n]+): (?:"
    r"(?:command )?not found"
    r"|(?:[^:\n]+: bad interpreter: )?No such file or directory"
    r"|(?:cannot execute: )?(?:required file not found|Permission denied|Is a directory)"
    r"|(?:cannot execute binary file: )?Exec format error"
    r")$",
    re.MULTILINE,
)
_WRONG_OPTION: Final = re.compile(
    r"(?:illegal|invalid|unknown|unrecognized) option|cannot open \r|\r: No such file", re.IGNORECASE
)
_QUOTES: Final = "'\u2018\u2019`\""
_BEGINNING: Final = 256
_ELF: Final = b"\x7fELF"


def named(log_tail: str) -> str | None:
    """Return the program named in the last error message of a shell; None if there is no such message."""
    found = _COMPLAINT.findall(log_tail)
    if not found:
        return None
    name = str(found[-1]).strip(" \t").removeprefix("$").strip(_QUOTES)
    # env and bash escape a carriage return; other shells print it.
    return f"{name.removesuffix(chr(92) + 'r')}\r" if name.endswith("\\r") else name


def is_misread(log_tail: str) -> bool:
    """Return True if an interpreter complained about an option in the first line of a script."""
    return _WRONG_OPTION.search(log_tail) is not None


def explain_option(command: str | Sequence[str], working_dir: str, path: str) -> str | None:
    """Return the message for a script whose interpreter options end with a carriage return; args as `explain`."""
    for word in _words(command):
        script = _find(word, working_dir, path)
        shebang = _shebang(script) if script else None
        if shebang and len(shebang.split()) > 1:
            return _windows(word, shebang)
    return None


def explain(name: str, command: str | Sequence[str], working_dir: str, path: str) -> str | None:
    """Return why a program did not start.

    Args:
        name: the name of the program in the shell's error message.
        command: the command of the task; a word of it may be a script whose interpreter is missing.
        working_dir: the directory in which it was started.
        path: the directories that are searched for programs.

    Returns:
        the reason; None if the program does not exist, or nothing is wrong with it.
    """
    if file := _find(name, working_dir, path):
        return _about(name, file)
    for word in _words(command):
        script = _find(word, working_dir, path)
        shebang = _shebang(script) if script else None
        if script and shebang and name in _interpreters(shebang):
            return _windows(word, shebang) or f"{word} begins with #!{shebang}, but {name} is not in PATH"
    if name.endswith("\r"):
        return f"command not found: {name[:-1]}\\r: a script has Windows line endings"
    if not isinstance(command, str) and is_line(command) and name == command[0]:
        return f"there is no program {name!r}: {A_LIST}"
    return None


def _about(name: str, file: Path) -> str | None:
    """Return what is wrong with the file of a program; None if unknown."""
    if file.is_dir():
        return f"{name} is a directory"
    shebang = _shebang(file)
    if not os.access(file, os.X_OK):
        other = f", or start it with {shebang.split()[0]}" if shebang and not _windows(name, shebang) else ""
        return f"{name} is not executable; run `chmod +x {shlex.quote(name)}`{other}"
    if os.statvfs(file).f_flag & os.ST_NOEXEC:
        return f"{name} is on a file system that is mounted noexec"
    if shebang is None:
        if not _beginning(file).startswith(_ELF):
            return None
        return f"{name} is not a program for this machine, or its loader is missing"
    if windows := _windows(name, shebang):
        return windows
    interpreter = Path(*shebang.split()[:1])
    if interpreter.is_absolute() and not interpreter.exists():
        return f"{name} begins with #!{shebang}, but {interpreter} does not exist"
    return None


def _windows(name: str, shebang: str) -> str | None:
    if not shebang.endswith("\r"):
        return None
    fix = f"to fix it, run `sed -i 's/\\r$//' {shlex.quote(name)}`"
    return f"{name} begins with #!{shebang[:-1]}\\r: it has Windows line endings; {fix}"


def _interpreters(shebang: str) -> Iterable[str]:
    """Return the names that an error message about an interpreter may contain, with the carriage return."""
    return shebang.lstrip(" \t").replace("\t", " ").split(" ")


def _shebang(file: Path) -> str | None:
    """Return the first line of a script after its `#!`; None if the file is not a script."""
    first, _, _ = _beginning(file).partition(b"\n")
    return first[2:].decode(errors="replace").strip(" \t") if first.startswith(b"#!") else None


def _beginning(file: Path) -> bytes:
    try:
        # A pipe, or a file with a lease on it, would block the server.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _BEGINNING) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _find(name: str, working_dir: str, path: str) -> Path | None:
    """Return the file that a shell finds for a program, executable or not."""
    if not name or "\0" in name:
        return None
    if "/" in name:
        file = Path(working_dir, name)
        return file if file.exists() else None
    found = (Path(working_dir, directory, name) for directory in path.split(os.pathsep))
    return next((file for file in found if file.is_file()), None)


def _words(command: str | Sequence[str]) -> Sequence[str]:
    if not isinstance(command, str):
        return command
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
