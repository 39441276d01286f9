"""A document → a record of its keys, or errors for what does not fit.

A record is a msgspec struct: its fields are the keys that there may be. The type of each is annotated with the
expected value and, for some, the purpose: `jobs: Annotated[int, "a number from 1 upwards", "The most runs."]`.
"""

import difflib
import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from aqueue.errors import FileError
from aqueue.formats import other_words, secrecy
from aqueue.formats.yaml_document import Document, Path
from aqueue.formats.yaml_errors import DocumentError
from aqueue.formats.yaml_values import describe
from aqueue.model.values import Spelled, all_stand_for, plain_text, stands_for

T = TypeVar("T", bound=msgspec.Struct)

_LONGEST = 60
"""The longest line that a hint repeats."""


def convert(document: Document, kind: type[T], home: Collection[str] = ()) -> T:
    """Return the document as a record, in which each `Value` keeps its spelling.

    Args:
        home: the keys for which `~` is a directory.

    Raises:
        FileError: it does not fit, or a key has no value.
    """
    if not isinstance(document.value, dict):
        raise _no_mapping(document, kind)
    check_keys(document, (), kind.__struct_fields__)
    for at in _empty_keys(document.written, kind, home) if document.has_nothing else ():
        key = _dotted(at)
        wanted = words_of(kind).get(key, "a value")
        raise document.error(f"{key}: expected {wanted}, got nothing", at=at)
    value = _fitting(document.written, kind) if document.has_spellings else document.value
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explain(document, str(error), kind) from None


def check_keys(document: Document, at: Path, known: Sequence[str]) -> None:
    """Check that the mapping at `at` has only known keys.

    Raises:
        FileError: at the first unknown key, with the one that was probably meant.
    """
    for key in document.written_at(at):
        if key not in known:
            raise _unknown(document, (*at, key), key, known)


def unexpected(document: Document, kind: type[msgspec.Struct], at: Path, value: Any, hint: str = "") -> FileError:
    """Return the error for a value that its key does not accept."""
    key = _dotted(at)
    got = repr(value) if isinstance(value, str | list) else describe(value)
    return document.error(f"{key}: expected {words_of(kind)[key]}, got {got}", hint, at=at)


@cache
def words_of(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """Return the value each key of a record expects, in words. Nested keys are named like `retries.limit`.

    Nested keys come before their parents.
    """
    words: dict[str, str] = {}
    for name, annotation in _fields(kind).items():
        if (inner := _record_in(annotation)) is not None:
            words |= {f"{name}.{key}": said for key, said in words_of(inner).items()}
        words[name] = texts_of(annotation)[0]
    return words


def texts_of(annotation: Any) -> list[str]:
    """Return the texts of a field's type: the value it expects, and its purpose if that is said."""
    return [text for text in annotation.__metadata__ if isinstance(text, str)]


def _no_mapping(document: Document, kind: type[msgspec.Struct]) -> FileError:
    """Return the error for a document that is not a mapping, with a hint how to write a task."""
    value = document.value
    is_shown = not isinstance(value, str) or secrecy.is_command(value, document.line)
    hint = ""
    if "command" in kind.__struct_fields__:
        is_line = isinstance(value, str) and is_shown and len(value) <= _LONGEST and "\n" not in value
        hint = f"write `command: {value}`" if is_line else "write `command: …`"
        if isinstance(value, list):
            hint = "write each task as its own document, with --- between them"
    return document.error(f"expected keys and values, got {describe(value) if is_shown else 'text'}", hint)


def _unknown(document: Document, at: Path, key: str, known: Sequence[str]) -> DocumentError:
    """Return the error for an unknown key, with what was probably meant."""
    shown = secrecy.key_shown(key, known)
    near = other_words.ours(key, known) or difflib.get_close_matches(shown.rstrip("…"), known, 1, 0.6)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known keys: {', '.join(known)}"
    if other_words.holds_tasks(key, known):
        near, hint = (), "write each task as its own document, with --- between them"
    message = f"unknown key '{shown}'" if shown else "unknown key: it is more than a word"
    error = document.error(message, hint, at=at, key=True)
    error.meant = near[0] if len(near) == 1 else ""
    return error


def _explain(document: Document, message: str, kind: type[msgspec.Struct]) -> FileError:
    """Return the error for a document that msgspec refuses."""
    path = _path_of(message)
    if "[...]" in message:
        path = (*path, *_first_nested(document.written_at(path)))
    while len(path) > 1 and not _has(document, path):
        path = path[:-1]
    if missing := re.search(r"missing required field `(\w+)`", message):
        return document.error(f"'{missing[1]}' is missing", f"add: {missing[1]}: …", at=(*path, missing[1]))
    if "unknown field" in message:
        return _unknown_below(document, kind, path)
    keys = _dotted(path) + "."
    wanted = next((words for key, words in words_of(kind).items() if keys.startswith(key + ".")), "")
    value = document.written_at(path)
    got = describe(value) if secrecy.may_be_shown(value, path, wanted) else "text"
    return document.error(f"{secrecy.path_shown(path)}: expected {wanted or message}, got {got}", at=path)


def _unknown_below(document: Document, kind: type[msgspec.Struct], path: Path) -> FileError:
    nested = kind
    for step in path:
        if isinstance(step, str):
            nested = _record_in(_fields(nested)[step]) or nested
    try:
        check_keys(document, path, nested.__struct_fields__)
    except FileError as error:
        return error
    return document.error("unknown key", at=path)


def _first_nested(mapping: Mapping[str, Any]) -> Path:
    """Return the key of the first value that is not plain, which msgspec does not name."""
    return next(((key,) for key, value in mapping.items() if isinstance(value, dict | list)), ())


def _has(document: Document, path: Path) -> bool:
    try:
        document.written_at(path)
    except (LookupError, TypeError):
        return False
    return True


def _path_of(message: str) -> Path:
    """Return the path in msgspec's "… - at `$.retries.exit_codes[0]`"; it writes a key of a dict as `[...]`."""
    _, _, path = message.rpartition("`$")
    steps = re.findall(r"\.(\w+)|\[(\d+)\]", path)
    return tuple(name or int(index) for name, index in steps)


def _dotted(at: Path) -> str:
    """Return the keys of a path, without indices, as `words_of` names them."""
    return ".".join(step for step in at if isinstance(step, str))


def _fitting(tree: Any, annotation: Any) -> Any:
    """Return lists and mappings with each value in the form its field needs: with its spelling, or plain.

    Args:
        annotation: the type of the whole. In a record, the types of its fields say which values are to keep their
            spelling: those that may be a `Spelled`, or anything at all.
    """
    fields = _fields(_record_in(annotation))
    if fields and isinstance(tree, dict):
        return {key: _fitting(value, fields.get(key)) for key, value in tree.items()}
    if not fields and _keeps_spelling(annotation):
        return tree
    if isinstance(tree, list):
        return [_fitting(value, annotation) for value in tree]
    return all_stand_for(tree)


def _empty_keys(tree: Any, annotation: Any, home: Container[str] = ()) -> Iterator[Path]:
    """Yield the paths of keys of records without a value.

    Args:
        annotation: the type of the whole.
        home: the keys for which `~` is a directory, not YAML's null.
    """
    fields = _fields(_record_in(annotation))
    if fields and isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from ((index, *at) for at in _empty_keys(value, annotation, home))
    elif fields and isinstance(tree, dict):
        for key, value in tree.items():
            if key in fields and stands_for(value) is not None:
                yield from ((key, *at) for at in _empty_keys(value, fields[key], home))
            elif key in fields and (key not in home or plain_text(value) != "~"):
                yield (key,)


@cache
def _fields(kind: type[msgspec.Struct] | None) -> Mapping[str, Any]:
    """Return the types of a record's fields by name."""
    return {} if kind is None else {field.name: field.type for field in msgspec.structs.fields(kind)}


@cache
def _record_in(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the record among the alternatives or items of a type; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return None if annotation is Spelled else annotation
    return next(filter(None, map(_record_in, getattr(annotation, "__args__", ()))), None)


@cache
def _keeps_spelling(annotation: Any) -> bool:
    return annotation in (Any, Spelled) or any(map(_keeps_spelling, getattr(annotation, "__args__", ())))
