"""Passing an environment through the wrapper's shell, so that neither changes the other. Pure.

A shell treats some variables as its own: dash does not start if `OPTIND` is not a number, and exports its own
`IFS`. The loader uses others, and a value meant for the command may keep the shell from starting. Such variables
are passed as values of numbered ones; on a command line, every user could read them. Right before the command, the
shell restores them; if it cannot, a script does so and then becomes the command.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.executors.command import OWN_SHELL
from aqueue.executors.local.restore import GIVEN

_SHELLS_OWN: Final = frozenset(
    {
        *("IFS", "LINENO", "OPTERR", "OPTIND", "POSIXLY_CORRECT", "PPID", "PS4", "RANDOM", "SECONDS", "SHELLOPTS"),
        *("BASH", "BASHOPTS", "BASHPID", "BASH_ARGV0", "BASH_COMMAND", "BASH_EXECUTION_STRING", "BASH_SUBSHELL"),
        *("BASH_VERSION", "COMP_WORDBREAKS", "EPOCHREALTIME", "EPOCHSECONDS", "EXECIGNORE", "HISTCMD", "SRANDOM"),
    }
)
"""The variables that a shell named sh obeys, changes or drops: dash, the BusyBox shell, or bash."""

_BASHS_OWN: Final = frozenset({"DIRSTACK", "EUID", "FUNCNAME", "GROUPS", "PIPESTATUS", "UID"})
"""The variables that bash exports if they are set at its start, but that a script cannot set."""

_SETTABLE: Final = ("OLDPWD", "PS1", "PS2", "SHLVL")
"""The variables that a shell changes or drops, but that a script can restore."""

_LOADERS: Final = ("LD_", "DYLD_")
_FUNCTION: Final = "BASH_FUNC_"
_CALLED: Final = frozenset({"[", "cd", "command", "echo", "head", "printf", "stat", "true", "ulimit"})
"""The commands in the wrapper that an exported bash function could replace."""

_RESTORE: Final = (sys.executable, "-I", "-S", "-X", "utf8", str(Path(__file__).with_name("restore.py")))
_PREFIX: Final = GIVEN.decode()


class Handover(NamedTuple):
    """The environment of a wrapper, and how to restore that of the command.

    Attributes:
        environment: the wrapper's environment.
        restoring: the shell commands that turn it into the command's.
        arguments: the program and its arguments; or `OWN_SHELL`, a shell command and its params.
    """

    environment: dict[str, str]
    restoring: str
    arguments: Sequence[str]


def hand_over(
    environment: Mapping[str, str], own: Mapping[str, str], working_dir: str, arguments: Sequence[str]
) -> Handover:
    """Return how to start the wrapper so that the command gets exactly its own environment.

    Args:
        environment: the command's environment.
        own: the server's environment; the wrapper finds and loads programs as the server does.
        working_dir: the value that a shell gives to `PWD`.
        arguments: as in `Handover`.
    """
    special = _special(tuple(environment))
    programs = [name for name in special if _is_for_programs(name) and environment[name] != own.get(name)]
    settable = [name for name in special if name in _SETTABLE] + programs
    others = [name for name in special if name not in _SETTABLE and not _is_for_programs(name)]
    # All shells set these two.
    expected = {"PWD": working_dir, "_": own.get("_")}
    others += [name for name, value in expected.items() if environment.get(name, value) != value]
    if others:
        # The script runs in Python, which changes this variable.
        others += ["LC_CTYPE"] if "LC_CTYPE" in environment else []
        if arguments[0] == OWN_SHELL:
            arguments = ["/bin/sh", "-c", arguments[1], "/bin/sh", *arguments[2:]]
        arguments = [*_RESTORE, *arguments]
    past = [*settable, *others]
    changed = dict(environment)
    for number, name in enumerate(past):
        changed[f"{_PREFIX}{number}"] = f"{name}={changed.pop(name)}"
        if _is_for_programs(name) and name in own:
            changed[name] = own[name]
    return Handover(changed, "" if others else _restoring(len(past)), arguments)


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """Return the shell commands that turn one wrapper environment into another; None if a shell cannot do that.

    Both are as `hand_over` returns them. `PWD` is left to the shell.
    """
    changed = {name: value for name, value in after.items() if before.get(name) != value and name != "PWD"}
    gone = [name for name in before if name not in after and name != "PWD"]
    if not all(map(_can_be_changed, (*changed, *gone))):
        return None
    setting = " ".join(["export", *(f"{name}={shlex.quote(value)}" for name, value in changed.items())])
    return "\n".join([*([setting] if changed else []), *([" ".join(["unset", *gone])] if gone else [])])


def _restoring(count: int) -> str:
    if not count:
        return ""
    names = [f"{_PREFIX}{number}" for number in range(count)]
    return " ".join(["export", *(f'"${name}"' for name in names), "&& unset", *names])


@lru_cache(256)
def _special(names: tuple[str, ...]) -> list[str]:
    """Return the names that do not pass through a shell unchanged. Most runs have the same ones."""
    return [name for name in names if _is_special(name)]


def _is_special(name: str) -> bool:
    return name in _SETTABLE or name in _SHELLS_OWN or _is_for_programs(name) or not _can_pass(name)


def _is_for_programs(name: str) -> bool:
    return name == "PATH" or name.startswith(_LOADERS)


def _can_pass(name: str) -> bool:
    """Return True if a shell passes a variable on unchanged, and does not call it as a function."""
    if name.startswith(_FUNCTION):
        # Bash exports other functions, and other shells drop them.
        return name.removeprefix(_FUNCTION).rstrip("%()") not in _CALLED
    return _can_be_named(name)


def _can_be_named(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _can_be_changed(name: str) -> bool:
    """Return True if no shell gives the variable a meaning, so that a script can set and unset it."""
    is_bashs = name.startswith("BASH") or name in _BASHS_OWN
    return _can_be_named(name) and not is_bashs and not _is_special(name)
