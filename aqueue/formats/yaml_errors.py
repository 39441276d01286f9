"""Errors in YAML: those in a document, with the wrong node, and those of the parser, with a hint. Pure."""

import re
from typing import Any, Final

import yaml

from aqueue.errors import FileError

LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader for all YAML."""

TOO_MUCH: Final = ("too many values, or nested too deeply", "a task needs far fewer")
"""The message and hint for a document that is too large."""

_UNCLOSED = "found unexpected end of stream"
_UNDEFINED = "found undefined alias"
_IN_C = LOADER is not yaml.SafeLoader
_CALL_NAME = re.compile(r"\b(range|choice|uniform|loguniform)\b")


class DocumentError(FileError):
    """An error in a document.

    Attributes:
        at: the known part of its path.
        node: the part that has to change; None if that is unknown.
        is_absent: True if `node` lacks the last key of `at`.
        meant: the key that was probably meant, if `node` is a wrong key.
    """

    at: tuple[str | int, ...] = ()
    node: yaml.Node | None = None
    is_absent = False
    meant = ""


def place(content: bytes, position: int) -> tuple[int, int]:
    """Return line and column, both from 1, of a position in UTF-8."""
    before = content[:position].decode(errors="replace")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def located(error: yaml.YAMLError, text: str, file: str) -> FileError:
    """Return a parser's error as one with file, line and column.

    Args:
        error: the parser's error.
        text: the text of the whole file.
        file: its name in errors.
    """
    if isinstance(error, yaml.reader.ReaderError):
        # libyaml counts bytes, PyYAML's own reader characters.
        before = text.encode() if _IN_C else text[: error.position].encode()
        position = error.position if _IN_C else len(before)
        return FileError(file, *place(before, position), f"not valid YAML: {error.reason}")
    if not isinstance(error, yaml.MarkedYAMLError):
        return FileError(file, 1, 1, f"not valid YAML: {error}")
    mark = error.problem_mark or error.context_mark
    if error.problem == _UNCLOSED:
        # Point to the start of the unclosed text, not to the end of the file.
        mark = error.context_mark or mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if error.problem and "nesting depth" in error.problem:
        # YAML's own limit, which it can reach before it yields an event.
        return FileError(file, line, column, *TOO_MUCH)
    if mark and error.problem and error.problem.startswith(_UNDEFINED) and (found := _alias(text, mark.index)):
        return FileError(file, line, column, *found)
    problem = f"not valid YAML: {error.problem or error.context}"
    start_of_line = text[: mark.index].rpartition("\n")[2] if mark else ""
    return FileError(file, line, column, problem, _hint(error, start_of_line))


def _alias(text: str, position: int) -> tuple[str, str] | None:
    """Return the message and hint for an alias whose anchor is elsewhere in the file; None if it has none.

    The message does not name the anchor, which may be mistyped text with a secret.
    """
    document, anchors, alias = 0, dict[str, int](), None
    try:
        for event in yaml.parse(text, LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                document += 1
            elif isinstance(event, yaml.AliasEvent):
                if event.start_mark and event.start_mark.index == position:
                    alias = (event.anchor, document)
            elif isinstance(event, yaml.NodeEvent) and event.anchor:
                anchors[event.anchor] = document
    except yaml.YAMLError:
        # The events before the error are enough.
        pass
    if alias is None or alias[0] not in anchors:
        return None
    if anchors[alias[0]] == alias[1]:
        return "the anchor of this alias comes after it", "move the block with the anchor above it"
    hint = "anchors end at ---: write the block in this document, too, under a key such as x-shared"
    return "the anchor of this alias is in another document", hint


def _hint(error: yaml.MarkedYAMLError, start_of_line: str) -> str:
    problem = error.problem or ""
    if problem == _UNCLOSED:
        return "the quote that starts there is not closed"
    if "expected ',' or" in problem and _CALL_NAME.search(start_of_line):
        return "put the whole call in quotes: 'choice(a, \"b c\")'"
    if "tab character" in problem or "\\t" in problem or "cannot start any token" in problem:
        return "indent with spaces, not tabs, and quote text that begins with %, @ or `"
    if "expected alphabetic or numeric character" in problem or _UNDEFINED in problem:
        return 'quote text that begins with * or &, such as "*/5 * * * *"'
    if "mapping values are not allowed" in problem:
        return "begin all keys in the same column, and quote text that contains ': '"
    return "look for a missing quote, bracket or space; a line is written as in `command: python train.py`"
