"""Passing an environment through the wrapper's shell, so that neither changes the other. Pure.

A shell takes some variables for its own: dash does not even start with an `OPTIND` that is no number, and hands on
an `IFS` of its own. The loader takes others, and what is meant for the command may keep the shell from starting.
Such variables travel as the values of others, numbered ones: on a command line, everybody could read them. Right
before the command the shell puts them back, or where it could not, a script that then becomes the command.
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
"""The variables that a shell called sh obeys, changes or drops: dash, the shell of BusyBox, or bash."""

_BASHS_OWN: Final = frozenset({"DIRSTACK", "EUID", "FUNCNAME", "GROUPS", "PIPESTATUS", "UID"})
"""The variables that bash hands on if it finds them at its start, but does not let a script set."""

_SETTABLE: Final = ("OLDPWD", "PS1", "PS2", "SHLVL")
"""The variables that a shell changes or drops as well, and that can be put back in it."""

_LOADERS: Final = ("LD_", "DYLD_")
_FUNCTION: Final = "BASH_FUNC_"
_CALLED: Final = frozenset({"[", "cd", "command", "echo", "head", "printf", "stat", "true", "ulimit"})
"""The commands that the wrapper calls by a name that an exported function of bash could have."""

_RESTORE: Final = (sys.executable, "-I", "-S", "-X", "utf8", str(Path(__file__).with_name("restore.py")))
_PREFIX: Final = GIVEN.decode()


class Handover(NamedTuple):
    """The environment to start a wrapper with, and how the command gets its own back.

    Attributes:
        environment: the wrapper's.
        restoring: the shell's commands that make it the command's.
        arguments: the program and its arguments; or `OWN_SHELL`, a shell command and its params.
    """

    environment: dict[str, str]
    restoring: str
    arguments: Sequence[str]


def hand_over(
    environment: Mapping[str, str], own: Mapping[str, str], working_dir: str, arguments: Sequence[str]
) -> Handover:
    """Return how to start the wrapper so that a command has the environment that it is to have.

    Args:
        environment: the command's.
        own: the server's; the wrapper looks for programs, and loads them, as the server does.
        working_dir: which a shell gives to `PWD`.
        arguments: as in `Handover`.
    """
    special = _special(tuple(environment))
    programs = [name for name in special if _is_for_programs(name) and environment[name] != own.get(name)]
    settable = [name for name in special if name in _SETTABLE] + programs
    others = [name for name in special if name not in _SETTABLE and not _is_for_programs(name)]
    # All shells set these two; the server's own are of no use to anybody.
    expected = {"PWD": working_dir, "_": own.get("_")}
    others += [name for name, value in expected.items() if environment.get(name, value) != value]
    if others:
        # The script is a program in Python, which changes this one.
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
    """Return the shell's commands that make one environment of a wrapper another; None if a shell cannot do that.

    Both are as `hand_over` returns them. `PWD` is left alone: a shell sees to that.
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
    """Return those names that do not just pass through a shell. Runs mostly have the same ones."""
    own = (*_SETTABLE, *_SHELLS_OWN)
    return [name for name in names if name in own or _is_for_programs(name) or not _can_pass(name)]


def _is_for_programs(name: str) -> bool:
    return name == "PATH" or name.startswith(_LOADERS)


def _can_pass(name: str) -> bool:
    """Return True if a shell hands a variable on that it does not know, and does not take it for what it calls."""
    if name.startswith(_FUNCTION):
        # Other functions are for bash to hand on, and for other shells to drop.
        return name.removeprefix(_FUNCTION).rstrip("%()") not in _CALLED
    return _can_be_named(name)


def _can_be_named(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _can_be_changed(name: str) -> bool:
    """Return True if a variable means nothing to any shell, so that one can set and unset it."""
    is_bashs = name.startswith("BASH") or name in _BASHS_OWN
    return _can_be_named(name) and not is_bashs and not _special((name,))
