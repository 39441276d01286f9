"""Checks for missing values in a task file: an empty text must be written as such."""

from collections.abc import Iterator
from typing import Any, Final

from aqueue.errors import FileError
from aqueue.formats.yaml_document import Document, Path
from aqueue.model.task import is_param
from aqueue.model.values import plain_text

_MAPPINGS: Final = ("params", "env", "matrix")
"""The top-level keys whose own keys the user chooses."""


def check(document: Document) -> None:
    """Check that no key and no list item lacks a value.

    Raises:
        FileError: some do; one error for each.
    """
    if not document.has_nothing or not isinstance(document.written, dict):
        return
    errors = []
    for key, value in document.written.items():
        for at in _places(value, (key,)) if key in _MAPPINGS or isinstance(value, list) else ():
            if several := _as_list(at, value):
                raise document.error(f"{key}: several values need brackets", several, at=(key,))
            if isinstance(at[-1], str) and not is_param(at[-1]):
                # Another check reports that it is not a valid name.
                continue
            if at[:2] not in (("matrix", "include"), ("matrix", "exclude")) or len(at) > 2:
                errors.append(_error(document, at))
    if errors:
        raise FileError.together(errors)


def _error(document: Document, at: Path) -> FileError:
    if isinstance(name := at[-1], int):
        hint = 'write "" if it is an empty text, or leave the item out'
    elif at[0] == "env":
        # The text that YAML reads as a name may be a secret.
        return document.error("env: a value is missing", 'write "" if it is an empty text', at=at)
    else:
        hint = f'write {name}: "" if it is an empty text, or leave {name} out'
    what = ".".join(step for step in at if isinstance(step, str))
    return document.error(f"{what}: a value is missing", hint, at=at)


def _places(value: Any, at: Path) -> Iterator[Path]:
    """Yield the places in a mapping or list where nothing is written, not even `null`."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        if inner is None:
            yield (*at, step)
        else:
            yield from _places(inner, (*at, step))


def _as_list(at: Path, within: Any) -> str:
    """Return the correct form of a list that YAML reads as keys, as in `{lr: 0.1, 0.2}`."""
    if len(at) != 2 or at[0] == "env" or not isinstance(key := at[1], str) or is_param(key):
        return ""
    keys = [*within]
    before = keys[: keys.index(key)]
    if not before or isinstance(within[before[-1]], list | dict):
        return ""
    name, rest = before[-1], keys[len(before) :]
    bare = rest[: next((number for number, one in enumerate(rest) if within[one] is not None), len(rest))]
    several = f"{name}: [{', '.join([plain_text(within[name]), *bare])}]"
    return f"write {several}" if at[0] == "matrix" else f"for a run of each value, write matrix: {{{several}}}"
