"""Reasons why a program did not start, from its file: a shell says "not found" even of files that exist.

A script with Windows line ends, or one whose interpreter is missing, is such a file. A shell's complaint names the
file; what is wrong with it is looked up here, after the attempt is over.
"""

import os
import re
import shlex
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from aqueue.executors.command import A_LIST, is_line
from aqueue.folder import no_links

NOT_STARTED: Final = (126, 127)
"""The exit codes of a shell that could not start a program."""

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


def tail(log: Path) -> str:
    """Return the end of an output, in which a complaint would be; empty where there is none."""
    try:
        with open(log, "rb", opener=no_links.opener) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def named(log_tail: str) -> str | None:
    """Return the program that the last complaint in an output names; None if there is none."""
    found = _COMPLAINT.findall(log_tail)
    if not found:
        return None
    name = str(found[-1]).strip(" \t").removeprefix("$").strip(_QUOTES)
    # env and bash write it like this, other shells as it is.
    return f"{name.removesuffix(chr(92) + 'r')}\r" if name.endswith("\\r") else name


def is_misread(log_tail: str) -> bool:
    """Return True if an output has what interpreters say of an option in the first line of a script."""
    return _WRONG_OPTION.search(log_tail) is not None


def explain_option(command: str | Sequence[str], working_dir: str, path: str) -> str | None:
    """Say which script ends the options of its interpreter with a carriage return; takes what `explain` takes."""
    for word in _words(command):
        script = _find(word, working_dir, path)
        shebang = _shebang(script) if script else None
        if shebang and len(shebang.split()) > 1:
            return _windows(word, shebang)
    return None


def explain(name: str, command: str | Sequence[str], working_dir: str, path: str) -> str | None:
    """Say why a program was not started.

    Args:
        name: of the program, as a shell has complained of it.
        command: the task's; one of its words may be the script whose interpreter is meant.
        working_dir: where it was started.
        path: the directories in which programs are looked for.

    Returns:
        None if it is not there, or nothing is wrong with it.
    """
    if file := _find(name, working_dir, path):
        return _about(name, file)
    for word in _words(command):
        script = _find(word, working_dir, path)
        shebang = _shebang(script) if script else None
        if script and shebang and name in _interpreters(shebang):
            return _windows(word, shebang) or f"{word} begins with #!{shebang}, and there is no {name} in PATH"
    if name.endswith("\r"):
        return f"command not found: {name[:-1]}\\r: a script of it has Windows line ends"
    if not isinstance(command, str) and is_line(command) and name == command[0]:
        return f"there is no program {name!r}: {A_LIST}"
    return None


def _about(name: str, file: Path) -> str | None:
    """Say what is wrong with the file of a program, if that can be told."""
    if file.is_dir():
        return f"{name} is a directory"
    shebang = _shebang(file)
    if not os.access(file, os.X_OK):
        other = f", or start it with {shebang.split()[0]}" if shebang and not _windows(name, shebang) else ""
        return f"{name} is not executable; `chmod +x {shlex.quote(name)}` makes it so{other}"
    if os.statvfs(file).f_flag & os.ST_NOEXEC:
        return f"{name} lies on a file system that is mounted noexec"
    if shebang is None:
        if not _beginning(file).startswith(_ELF):
            return None
        return f"{name} is not a program for this machine, or the loader that it needs is not there"
    if windows := _windows(name, shebang):
        return windows
    interpreter = Path(*shebang.split()[:1])
    if interpreter.is_absolute() and not interpreter.exists():
        return f"{name} begins with #!{shebang}, and there is no {interpreter}"
    return None


def _windows(name: str, shebang: str) -> str | None:
    if not shebang.endswith("\r"):
        return None
    mend = f"`sed -i 's/\\r$//' {shlex.quote(name)}` mends that"
    return f"{name} begins with #!{shebang[:-1]}\\r: it has Windows line ends; {mend}"


def _interpreters(shebang: str) -> Iterable[str]:
    """Return what a complaint about the interpreter of a script may name, the carriage return included."""
    return shebang.lstrip(" \t").replace("\t", " ").split(" ")


def _shebang(file: Path) -> str | None:
    """Return the first line of a script after its `#!`; None if it is none."""
    first, _, _ = _beginning(file).partition(b"\n")
    return first[2:].decode(errors="replace").strip(" \t") if first.startswith(b"#!") else None


def _beginning(file: Path) -> bytes:
    try:
        # A pipe, or a file that somebody has a lease on, would keep the server waiting.
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
    """Return the file that a shell means by the name of a program, though it may not be fit to be started."""
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
