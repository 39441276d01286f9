"""Placeholders `${NAME}` in a command's words and in `env`: a param, else a variable of the run. Pure."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from aqueue.near_names import nearest

OWN_VARIABLES: Final = (
    "AQUEUE_RUN_ID",
    "AQUEUE_ID",
    "AQUEUE_NAME",
    "AQUEUE_QUEUE",
    "AQUEUE_ATTEMPT",
    "AQUEUE_RUN_DIR",
    "AQUEUE_SCHEDULED_FOR",
    "AQUEUE_GPUS",
)
"""The variables that describe a run to its command. A server that is itself in a run must not pass on its own."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}", re.ASCII)
_OF_A_SERVER = ("AQUEUE_DIR", "AQUEUE_QUEUE_ENABLED")


class UnknownNameError(ValueError):
    """A placeholder for an unknown name. Its text is for the user.

    Args:
        name: the text between the braces.
        known: the names that the task defines.
        below: entries of `env` that are not defined yet.
        entry: the entry that uses the name.
    """

    def __init__(self, name: str, known: Collection[str], below: Mapping[str, str], entry: str = "") -> None:
        near = nearest(name, known)
        self.hint = f"did you mean ${{{near}}}?" if near else _literally(name)
        if name == entry:
            self.hint = f"an entry cannot refer to itself, and no other {name} exists"
        elif name in below and _leads_to(entry, name, below):
            self.hint = f"{entry} and {name} refer to each other: write one of them out"
        elif name in below:
            self.hint = f"write the entry for {name} above this one"
        self.message = f"${{{name}}} is neither a param nor a variable of its environment"
        super().__init__(f"{self.message}; {self.hint}")


def _leads_to(entry: str, name: str, entries: Mapping[str, str]) -> bool:
    """Return True if the entry for `name` uses `entry`, directly or through others."""
    had, left = set[str](), [name]
    while left:
        if (one := left.pop()) in had or one not in entries:
            continue
        had.add(one)
        left += names_in(entries[one])
    return entry in had


def _literally(name: str) -> str:
    return f"to leave it as it is, write $${{{name}}}"


def fill_in(text: str, value_of: Callable[[str], str]) -> str:
    """Replace each `${NAME}` by its value, and `$${` by `${`. All other text stays as it is.

    >>> fill_in("--lr=${lr} $${lr} ${lr:-1} $lr", {"lr": "0.1"}.__getitem__)
    '--lr=0.1 ${lr} ${lr:-1} $lr'
    """
    if "${" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: value_of(match[1]) if match[1] else "${", text)


def names_in(text: str) -> Iterator[str]:
    """Return the names of the placeholders in a text."""
    return (match[1] for match in _PLACEHOLDER.finditer(text) if match[1]) if "${" in text else iter(())


def value_of(
    name: str,
    params: Mapping[str, str],
    variables: Mapping[str, str],
    below: Mapping[str, str] = MappingProxyType({}),
    entry: str = "",
) -> str:
    """Return the value of a param, else of a variable. An unset variable of aqueue's own is empty.

    Args:
        below: entries of `env` that are not defined yet.
        entry: the entry that the text belongs to.

    Raises:
        UnknownNameError: the name is neither.
    """
    if name in params:
        return params[name]
    if name in variables:
        return variables[name]
    if name in OWN_VARIABLES:
        return ""
    raise UnknownNameError(name, [*params, *OWN_VARIABLES], below, entry)


def is_misspelt(name: str, known: Collection[str]) -> bool:
    """Return True if a name must be a misspelling of one that the task defines.

    Any other name may be a variable of the server's environment; those have capital letters.
    """
    if name in known or name in OWN_VARIABLES:
        return False
    if name.startswith("AQUEUE_"):
        return name not in _OF_A_SERVER
    return "." in name or (name != name.upper() and bool(nearest(name, known)))
