"""`${NAME}` in the words of a command and in `env`: a param, or else a variable of the run. Pure."""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

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
"""The variables that describe a run to its command; a server that is itself a run must not pass its own on."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}", re.ASCII)
_OF_A_SERVER = ("AQUEUE_DIR", "AQUEUE_QUEUE_ENABLED")
_ALIKE = 0.6


class UnknownNameError(ValueError):
    """A placeholder for a name that a run does not have; its text is for people.

    Args:
        name: what is between the braces.
        known: the names that a task knows itself.
        below: entries of `env` that are not there yet.
        entry: the one of them that uses the name.
    """

    def __init__(self, name: str, known: Collection[str], below: Mapping[str, str], entry: str = "") -> None:
        near = nearest(name, known)
        self.hint = f"did you mean ${{{near}}}?" if near else _literally(name)
        if name == entry:
            self.hint = f"this is the entry for {name} itself, and there is no other"
        elif name in below and _leads_to(entry, name, below):
            self.hint = f"{entry} and {name} are made of each other, in a circle: write one of them out"
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
    """Replace each `${NAME}` by its value, and `$${` by `${`; whatever else there is stays as it is.

    >>> fill_in("--lr=${lr} $${lr} ${lr:-1} $lr", {"lr": "0.1"}.__getitem__)
    '--lr=0.1 ${lr} ${lr:-1} $lr'
    """
    if "${" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: value_of(match[1]) if match[1] else "${", text)


def names_in(text: str) -> Iterator[str]:
    """Return the names that `fill_in` would ask for."""
    return (match[1] for match in _PLACEHOLDER.finditer(text) if match[1]) if "${" in text else iter(())


def value_of(
    name: str,
    params: Mapping[str, str],
    variables: Mapping[str, str],
    below: Mapping[str, str] = MappingProxyType({}),
    entry: str = "",
) -> str:
    """Return the value of a param, or else of a variable; an own variable that the run does not have is empty.

    Args:
        below: entries of `env` that are not among the variables yet.
        entry: the one of them that the text is for.

    Raises:
        UnknownNameError: there is neither.
    """
    if name in params:
        return params[name]
    if name in variables:
        return variables[name]
    if name in OWN_VARIABLES:
        return ""
    raise UnknownNameError(name, [*params, *OWN_VARIABLES], below, entry)


def is_misspelt(name: str, known: Collection[str]) -> bool:
    """Return True if a name must be a misspelling of one that the task itself defines.

    Any other name may be a variable of the server's environment; those have capital letters.
    """
    if name in known or name in OWN_VARIABLES:
        return False
    if name.startswith("AQUEUE_"):
        return name not in _OF_A_SERVER
    return "." in name or (name != name.upper() and bool(nearest(name, known)))


def nearest(name: str, known: Collection[str]) -> str:
    """Return the name that was probably meant; empty if there is none like it.

    >>> nearest("lrr", ["lr", "seed"]), nearest("train.LR", ["lr", "seed"]), nearest("x", ["lr"])
    ('lr', 'lr', '')
    """
    # By the whole of them, and by what is behind the last dot.
    ways = {one.rpartition(".")[2].lower(): one for one in reversed([*known])}
    ways |= {one.lower(): one for one in reversed([*known])}
    whole, end = name.lower(), name.rpartition(".")[2].lower()
    near = [way for way in (whole, end) if way in ways]
    near = (
        near
        or difflib.get_close_matches(whole, ways, 1, _ALIKE)
        or difflib.get_close_matches(end, ways, 1, _ALIKE)
    )
    return ways[near[0]] if near else ""
