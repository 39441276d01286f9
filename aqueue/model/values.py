"""Plain values: text, numbers, true, false and null, each with its spelling and its meaning."""

from typing import Any, TypeGuard

import msgspec

Scalar = str | int | float | bool | None
"""A value without its spelling."""


class Spelled(msgspec.Struct, frozen=True):
    """A value whose spelling differs from Python's, such as `1.20`, `5319e70`, `True` or `~`.

    Attributes:
        text: the spelling, which is what a command gets.
        value: its meaning, by which values are compared and sorted.
    """

    # No user writes these names, so a mapping in a task file is never decoded as one of these.
    text: str = msgspec.field(name="as-written")
    value: int | float | bool | None = msgspec.field(name="stands-for")


Value = Scalar | Spelled
"""A value with its spelling; `Spelled` only if the spelling differs from Python's."""


def spelled(text: str, value: Scalar) -> Value:
    """Return a value with the spelling `text`.

    >>> spelled("0.5", 0.5), spelled("0.50", 0.5)
    (0.5, Spelled(text='0.50', value=0.5))
    """
    return value if isinstance(value, str) or plain_text(value) == text else Spelled(text, value)


def plain_text(value: Value) -> str:
    """Return a value as a command gets it in an argument or a variable: as written."""
    match value:
        case str():
            return value
        case Spelled():
            return value.text
        case None:
            return ""
        case bool():
            return str(value).lower()
    return str(value)


def stands_for(value: Value) -> Scalar:
    """Return the meaning of a value, without its spelling."""
    return value.value if isinstance(value, Spelled) else value


def is_number(value: object) -> TypeGuard[int | float]:
    """Return True for a number; true and false are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def all_stand_for(tree: Any) -> Any:
    """Return lists and mappings with the meaning of each value."""
    if isinstance(tree, list):
        return [all_stand_for(value) for value in tree]
    if isinstance(tree, dict):
        return {key: all_stand_for(value) for key, value in tree.items()}
    return stands_for(tree)
