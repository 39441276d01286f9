"""Checks that the params of a command line are known to a task and written correctly, so that none is ignored."""

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from aqueue.client.params import Params
from aqueue.errors import UsageError
from aqueue.formats.names import params_of, two_of_one_variable
from aqueue.model.submission import Submission
from aqueue.model.task import Task, variable_of
from aqueue.model.values import plain_text
from aqueue.near_names import nearest
from aqueue.units import listed, plural

_SHELLS: Final = ("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh")
# Shell code that may use positional params. A false match is harmless.
_USES_POSITIONAL: Final = re.compile(
    r"""\$\{?[#!]?[1-9@*] | \$\{?\# | \b(shift|getopts|eval|source)\b | (^|[\s;&|({])\.\s
    | \bfor\s+\w+\s*(;|\n|do\b)""",
    re.VERBOSE,
)
_LIKE_A_PARAM: Final = re.compile(r"[-+~]*([A-Za-z_][\w.-]*)(?:\s*[=:](.*))?", re.ASCII | re.DOTALL)
# The value after a colon may as well be the rest of a URL, or of a path on a drive.
_ASSIGNMENT: Final = re.compile(r"[-+~]*([A-Za-z_][\w.-]*)\s*(?:=|:(?![/\\]))(.*)", re.ASCII | re.DOTALL)
_OPTION: Final = re.compile(r"--?([A-Za-z_][\w.-]*)", re.ASCII)
_MAX_NAMED = 12


def check(given: Params, requests: Sequence[Submission]) -> None:
    """Check that no param would be ignored, or set a variable that no task uses.

    Tasks without params take any. If at least one task has params, only theirs are known.

    Args:
        requests: of all files.

    Raises:
        UsageError: at the first such param or word.
    """
    known = list(dict.fromkeys(name for request in requests for name in params_of(request)))
    names = [*given.named, *given.axes]
    for name in names:
        if name in given.new and name in known:
            raise UsageError(f"--new {name}: the param {name} already exists", f"give it after --: -- {name}=…")
        if known and name not in known and name not in given.new:
            value = plain_text(given.named[name]) if name in given.named else "…"
            hint = f"{_near(name, value, known)} To add it anyway, write before --: --new {name}={value}"
            raise UsageError(f"there is no param {name}", hint)
    if both := two_of_one_variable([*known, *names]):
        raise UsageError(
            f"{both[0]} and {both[1]} would both be the variable {variable_of(both[0])}", "choose one"
        )
    if given.positional and not any(_takes_positional(request.task) for request in requests):
        word = given.positional[0]
        raise UsageError(
            f"{shlex.quote(word)} would be ignored: the command uses neither $1 nor $@", _hint(word, known)
        )
    if known:
        _refuse_assignments(given.doubtful, known)


def _refuse_assignments(words: Sequence[str], known: Sequence[str]) -> None:
    """Check that no word for the command looks like a value for one of its params.

    Raises:
        UsageError: at the first such param or word.
    """
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if meant := _meant(word, following, known):
            hint = f"{meant} To pass it to the command unchanged, put it after a second --"
            raise UsageError(f"{shlex.quote(word)} is not a param: write it as K=V", hint)


def _meant(word: str, following: str, known: Sequence[str]) -> str:
    """Return the hint for a word that looks like a value for a param; empty if it does not."""
    if word.startswith("="):
        return "name the param: K=V."
    if (option := _OPTION.fullmatch(word)) and (name := option[1].replace("-", "_")) in known:
        return f"did you mean {name}={shlex.quote(following) if following else '…'}?"
    found = _ASSIGNMENT.fullmatch(word)
    near = nearest(found[1].replace("-", "_"), known) if found else ""
    return f"did you mean {near}={shlex.quote(found[2].lstrip('=').strip())}?" if found and near else ""


def _takes_positional(task: Task) -> bool:
    """Return True if a task may use positional params. A task that cannot take any has its own error."""
    if not isinstance(task.command, str):
        return True
    shell = PurePosixPath(task.shell or "/bin/sh").name
    return shell not in _SHELLS or _USES_POSITIONAL.search(task.command) is not None


def _hint(word: str, known: Sequence[str]) -> str:
    if word.startswith("--new"):
        return "--new comes before --"
    found = _LIKE_A_PARAM.fullmatch(word)
    if found and known:
        return _near(found[1].replace("-", "_"), (found[2] or "").lstrip("=").strip() or "…", known)
    return "a param is written K=V"


def _near(name: str, value: str, known: Sequence[str]) -> str:
    if near := nearest(name, known):
        return f"did you mean {near}={value}?"
    return f"{plural(len(known), 'the only param is', 'the params are')} {listed(known, _MAX_NAMED)}."
