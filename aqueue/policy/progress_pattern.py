"""Patterns by which a task says where its output tells the progress. Pure."""

import re
import warnings
from typing import Final

LONGEST: Final = 200
"""The maximum length of a pattern, and of the lines that it is applied to."""

_ATOM: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\??|.", re.DOTALL)
_REPEAT: Final = re.compile(r"[*+]|\{\d*,?\d*\}")


def compiled(text: str) -> re.Pattern[str]:
    r"""Return the compiled pattern.

    A pattern that may take for ever is refused: one in which something repeated is repeated once more. There is no
    way to stop a search that takes too long.

    Raises:
        ValueError: the pattern cannot be used; the message says why.

    >>> compiled(r"epoch (\d+)/(\d+)").groups
    2
    """
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings(action="error"):
            pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"it is not a regular expression: {error}") from None
    if pattern.groups not in (1, 2):
        raise ValueError(f"it has {pattern.groups} groups in parentheses, not one or two")
    if _repeats_repeated(text):
        raise ValueError("it repeats a group that has a repetition or a choice in it, which may take for ever")
    return pattern


def _repeats_repeated(text: str) -> bool:
    """Return True if a group with a repetition or a choice in it is repeated."""
    groups = [False]
    position = 0
    while atom := _ATOM.match(text, position):
        position = atom.end()
        is_group_with_repeat = False
        if atom[0].startswith("("):
            groups.append(False)
            continue
        if atom[0] == ")" and len(groups) > 1:
            is_group_with_repeat = groups.pop()
            groups[-1] = groups[-1] or is_group_with_repeat
        elif atom[0] in ("|", "?"):
            groups[-1] = True
        if repeat := _REPEAT.match(text, position):
            if is_group_with_repeat:
                return True
            groups[-1] = True
            position = repeat.end()
    return False
