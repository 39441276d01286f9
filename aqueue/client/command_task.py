"""The fields of the task that runs a command. Nothing that takes long to import: `aqueue add` needs them, too."""

import os
from collections.abc import Mapping, Sequence

from aqueue.model.basics import is_name

# As in `typing`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

CARRIED: "Final" = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX")
"""The variables of this environment that a command gets."""


def carried(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those variables that a command gets, as they are here."""
    return {name: variables[name] for name in CARRIED if name in variables}


def fields(
    words: str | Sequence[str], *, name: str | None, working_dir: str, env: Mapping[str, str], queue: str | None
) -> "dict[str, Any]":
    """Return the fields of the task that runs a command.

    Args:
        words: a string for /bin/sh, or a program and its arguments.
        name: None for one that is made up.
        queue: None for the local queue, which has the run's name.
    """
    return {
        "name": name or _made_up_name(words),
        "command": words if isinstance(words, str) else tuple(words),
        "working_dir": working_dir,
        "queue": queue,
        "env": {**env},
        "is_literal": True,
    }


def _made_up_name(words: str | Sequence[str]) -> str:
    """Return the program's name and something of its own: two commands without a name are two tasks."""
    first = words if isinstance(words, str) else words[0]
    parts = [part for part in (first.split() or [""])[0].split("/") if part not in ("", ".")]
    kept = "".join(character for character in "".join(parts[-1:]) if is_name(f"_{character}"))
    return f"{kept[:50].strip('.') or 'command'}-{os.urandom(3).hex()}"
