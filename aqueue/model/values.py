"""Plain values: text, numbers, true and false, and nothing, each as it is written and as what it stands for."""

from collections.abc import Container, Iterator, Mapping
from functools import cache
from typing import Any, TypeGuard

import msgspec

Scalar = str | int | float | bool | None
"""A value as it is used, whatever its spelling."""


class Spelled(msgspec.Struct, frozen=True):
    """A value that is written otherwise than Python would write it, such as `1.20`, `5319e70`, `True` or `~`.

    Attributes:
        text: as it is written, which is what a command gets.
        value: what it stands for, by which values are compared and sorted.
    """

    # In JSON they are no words of a person's, so that a mapping in a task file is not taken for one of these.
    text: str = msgspec.field(name="as-written")
    value: int | float | bool | None = msgspec.field(name="stands-for")


Value = Scalar | Spelled
"""A plain value that knows how it is written. Most are written as Python writes them, and are just themselves."""


def spelled(text: str, value: Scalar) -> Value:
    """Return a value that is written as `text`.

    >>> spelled("0.5", 0.5), spelled("0.50", 0.5)
    (0.5, Spelled(text='0.50', value=0.5))
    """
    return value if isinstance(value, str) or plain_text(value) == text else Spelled(text, value)


def plain_text(value: Value) -> str:
    """Return a value as a command gets it, in an argument or a variable: as it is written."""
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
    """Return what a value stands for, however it is written."""
    return value.value if isinstance(value, Spelled) else value


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether this is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def all_stand_for(tree: Any) -> Any:
    """Return lists and mappings with what each of their values stands for."""
    return fitting(tree, None)


def fitting(tree: Any, annotation: Any) -> Any:
    """Return lists and mappings with each value as its place wants it: as it is written, or what it stands for.

    Args:
        annotation: the type of the whole. In a struct, the types of its fields say which values are to keep their
            spelling: those that may be a `Spelled`, or anything at all.
    """
    fields = _fields(annotation)
    if fields and isinstance(tree, dict):
        return {key: fitting(value, fields.get(key)) for key, value in tree.items()}
    if not fields and _keeps_spelling(annotation):
        return tree
    if isinstance(tree, list):
        return [fitting(value, annotation) for value in tree]
    if isinstance(tree, dict):
        return {key: fitting(value, None) for key, value in tree.items()}
    return stands_for(tree)


def empty_keys(tree: Any, annotation: Any, home: Container[str] = ()) -> Iterator[tuple[str | int, ...]]:
    """Return where the keys of structs are that have no value.

    Args:
        annotation: the type of the whole.
        home: the keys for which `~` is a directory, and not the word for nothing that it is in YAML.
    """
    fields = _fields(annotation)
    if fields and isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from ((index, *at) for at in empty_keys(value, annotation, home))
    elif fields and isinstance(tree, dict):
        for key, value in tree.items():
            if key in fields and stands_for(value) is not None:
                yield from ((key, *at) for at in empty_keys(value, fields[key], home))
            elif key in fields and (key not in home or plain_text(value) != "~"):
                yield (key,)


@cache
def _fields(annotation: Any) -> Mapping[str, Any]:
    """Return the types of the fields of the struct among the alternatives of a type, or of which it is a list."""
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct) and option is not Spelled:
            return {field.name: field.type for field in msgspec.structs.fields(option)}
    return {}


@cache
def _keeps_spelling(annotation: Any) -> bool:
    return annotation in (Any, Spelled) or any(map(_keeps_spelling, getattr(annotation, "__args__", ())))
