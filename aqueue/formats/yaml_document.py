"""YAML text → plain values that remember where they were written.

Stricter than YAML asks for: no tags, and no duplicate keys.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from aqueue.errors import FileError
from aqueue.formats import secrecy
from aqueue.formats.yaml_calls import PLAIN_TAGS, Calls, is_bare
from aqueue.formats.yaml_errors import TOO_MUCH, DocumentError
from aqueue.formats.yaml_merge_keys import MergeKeys
from aqueue.formats.yaml_text import MAX_DEPTH, compose
from aqueue.formats.yaml_values import value_of
from aqueue.model.values import Spelled, all_stand_for, stands_for

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

MAX_VALUES: Final = 50_000
"""The most values of a document with expanded aliases: enough for the largest sweep."""

SHARED: Final = "x-"
"""The prefix of keys at the top of a document that are ignored."""


class Document:
    """One YAML document.

    Top-level keys that begin with `x-` are ignored: they hold blocks for aliases and merge keys.

    Attributes:
        written: its dicts and lists, with values that keep their spelling.
        value: the same with plain values: str, int, float, bool and None.
        has_spellings: True if a value is written differently than Python would write it.
        has_nothing: True if a value is missing or null.

    Args:
        file: its name in errors.
        node: the root node.
        text: the text of the whole file.
    """

    def __init__(self, file: str, node: yaml.Node, text: str) -> None:
        self.file = file
        self._node = node
        self._count = 0
        # Tracked for speed: most documents have neither.
        self.has_spellings = False
        self.has_nothing = False
        self._calls = Calls(text, self._unclosed)
        self._merge_keys = MergeKeys(self._error_at, self._calls.mend)
        self.written: Any = self._plain(node, 0)
        self.value: Any = all_stand_for(self.written) if self.has_spellings else self.written

    @property
    def line(self) -> int:
        """Return its first line, counted from 0."""
        line: int = self._node.start_mark.line
        return line

    @property
    def is_only_shared(self) -> bool:
        """Return True if it has only blocks for aliases and merge keys."""
        return self.value == {} and bool(self._node.value)

    def error(self, message: str, hint: str = "", *, at: Path = (), key: bool = False) -> DocumentError:
        """Return an error at the value `at`, at its key, or at the collection that lacks it."""
        node, is_absent = self._node_at(at, key=key)
        error = self._error_at(node, message, hint)
        error.at, error.is_absent = at, is_absent
        return error

    def is_quoted(self, at: Path) -> bool:
        """Return True for text in quotes or a block."""
        node, _ = self._node_at(at)
        return isinstance(node, yaml.ScalarNode) and bool(node.style)

    def _node_at(self, at: Path, *, key: bool = False) -> tuple[yaml.Node, bool]:
        """Return the node at `at`, or the deepest one on the way, and True if the last step is missing."""
        node, is_absent = self._node, False
        for index, step in enumerate(at):
            for name, child, key_node in _children(node):
                if name == step:
                    node = key_node if key and index == len(at) - 1 else child
                    break
            else:
                is_absent = index == len(at) - 1
        return node, is_absent

    def written_at(self, at: Path) -> Any:
        """Return the value at `at`, with its spelling.

        Raises:
            LookupError: there is no such key or index.
            TypeError: a step leads into a plain value.
        """
        value = self.written
        for step in at:
            value = value[step]
        return value

    def _plain(self, node: yaml.Node, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            raise self._error_at(node, *TOO_MUCH)
        if node.tag not in PLAIN_TAGS:
            raise self._error_at(node, "a tag (!…) is not allowed", "leave it out")
        if isinstance(node, yaml.ScalarNode):
            value = value_of(node)
            self.has_spellings |= isinstance(value, Spelled)
            self.has_nothing |= stands_for(value) is None
            return value
        if isinstance(node, yaml.CollectionNode) and node.flow_style:
            self._calls.mend(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, depth + 1) for child in node.value]
        if isinstance(node, yaml.MappingNode):
            self._count += self._merge_keys.resolve(node)
        mapping: dict[str, Any] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error_at(key_node, "a key must be a word")
            if depth == 0 and key_node.value.startswith(SHARED):
                continue
            if key_node.value in mapping:
                shown = secrecy.key_shown(key_node.value)
                what = f"'{shown}'" if shown and not _is_empty(child) else "this key"
                raise self._error_at(key_node, f"{what} is given twice", "keep one of them")
            mapping[key_node.value] = self._plain(child, depth + 1)
        return mapping

    def _unclosed(self, call: yaml.ScalarNode, within: yaml.Node) -> DocumentError:
        hint = "write it as in range(1, 5), with plain values only, or put it in quotes"
        # Without its arguments, which may be secrets in `env`.
        error = self._error_at(call, f"{call.value.partition('(')[0]}(… has no closing bracket", hint)
        # The collection holds the rest of the call.
        error.node = within
        return error

    def _error_at(self, node: yaml.Node, message: str, hint: str = "") -> DocumentError:
        mark = node.start_mark
        error = DocumentError(self.file, mark.line + 1, mark.column + 1, message, hint)
        error.node = None if (message, hint) == TOO_MUCH else node
        return error


def read(text: str, file: str) -> Iterator[Document]:
    """Yield the documents in `text` that are not empty.

    Args:
        text: the text of the whole file.
        file: its name in errors.

    Raises:
        FileError: it is not YAML, or uses features that are not allowed here.
    """
    documents = (Document(file, node, text) for node in compose(text, file))
    yield from (document for document in documents if not document.is_only_shared)


def quoted(text: str) -> str | None:
    """Return the text without its quotes; None if it is not quoted as a whole."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return None
    try:
        (document,) = read(text, "")
    except (FileError, UnicodeEncodeError, ValueError):
        return None
    return document.value if isinstance(document.value, str) and document.is_quoted(()) else None


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            yield key.value, child, key
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield index, child, child


def _is_empty(node: yaml.Node) -> bool:
    """Return True for a missing value, such as that of `b` in `{T: a, b}`."""
    return is_bare(node) and not node.value
