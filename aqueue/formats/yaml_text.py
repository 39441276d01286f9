"""The bytes of a file → text → YAML nodes, within safe limits."""

import codecs
from collections.abc import Iterator
from typing import Any, Final

import yaml

from aqueue.errors import FileError
from aqueue.formats import yaml_errors
from aqueue.formats.yaml_errors import LOADER, TOO_MUCH, place

MAX_BYTES: Final = 1 << 20
"""The largest size of a file in bytes."""

MAX_DEPTH: Final = 20
"""The deepest nesting of lists and mappings."""

_SHALLOW = 200
"""The nesting depth that is always safe to parse."""

_NESTING = "[{-?:"
"""The characters that can start a level of nesting."""


def decode(content: bytes, file: str) -> str:
    """Return the text of a file.

    Raises:
        FileError: it is too large, or not UTF-8.
    """
    if len(content) > MAX_BYTES:
        raise FileError(file, 0, 0, "is larger than 1 MiB", "keep data elsewhere and name it in the command")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise FileError(file, *place(content, error.start), "is not UTF-8", "save it as UTF-8") from None


def compose(text: str, file: str) -> Iterator[yaml.Node]:
    """Return the nodes of the documents in `text` that are not empty.

    Raises:
        FileError: it is not YAML.
    """
    try:
        if sum(map(text.count, _NESTING)) > _SHALLOW:
            _check_depth(text, file)
        for node in yaml.compose_all(text, LOADER):
            if node.tag != "tag:yaml.org,2002:null" or node.value:
                yield node
    except yaml.YAMLError as error:
        raise yaml_errors.located(error, text, file) from None
    except RecursionError:
        raise FileError(file, 1, 1, *TOO_MUCH) from None


def _check_depth(text: str, file: str) -> None:
    """Raise FileError for deep nesting, which would crash the recursive composer, written in C."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark: Any = event.start_mark
            raise FileError(file, mark.line + 1, mark.column + 1, *TOO_MUCH)
