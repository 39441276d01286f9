"""All mistakes of a file at once.

A reader of a document stops at its first mistake. So each mistake is removed from the nodes of the document, and
the document is read again, until the rest has no mistakes. This costs nothing for a good file, and no check needs
to know about others.
"""

import difflib
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Generic, TypeVar

import msgspec
import yaml

from aqueue.errors import FileError
from aqueue.formats import yaml_text
from aqueue.formats.yaml_calls import PLAIN_TAGS
from aqueue.formats.yaml_document import Document, Path
from aqueue.formats.yaml_errors import LOADER, DocumentError

R = TypeVar("R")

StandIn = Callable[[Path, Collection[str]], str | None]
"""A function that returns YAML to replace a wrong or missing value; None if the value can be left out.

Its arguments are the path of the value, and the keys of its mapping.
"""

MOST: Final = 100
"""The most mistakes to find in a document."""

_ALIKE = 0.8
"""The similarity, up to 1, from which an unknown key counts as a misspelling."""

_EFFORT = 1 << 20
"""The number of characters, about, to read again in order to find more mistakes in a file."""


class Found(msgspec.Struct, Generic[R]):
    """The readable parts of a file, and its mistakes.

    Attributes:
        made: the result for each document; for one with mistakes, the result without them, if possible.
        mistakes: the mistakes in the order they were found.
    """

    made: list[R]
    mistakes: list[FileError]

    def raise_any(self) -> None:
        """Raise the mistakes, if there are any.

        Raises:
            FileError: the first of them, with the others.
        """
        if self.mistakes:
            raise FileError.together(self.mistakes)

    def concern(self, *keys: str) -> bool:
        """Return True if a mistake may concern one of these top-level keys."""
        return any(not isinstance(one, DocumentError) or not one.at or one.at[0] in keys for one in self.mistakes)


def read_all(text: str, file: str, make: Callable[[Document], R], stand_in: StandIn) -> Found[R]:
    """Read the documents of a file.

    Args:
        text: the text of the whole file.
        file: its name in errors.
        make: converts a document to its result, or raises FileError.
    """
    found = Found[R]([], [])
    nodes = yaml_text.compose(text, file)
    while True:
        try:
            node = next(nodes, None)
        except FileError as error:
            # The parser cannot continue after a syntax error.
            found.mistakes.append(error)
            return found
        if node is None:
            return found
        _read_node(node, text, file, make, stand_in, found)


def _read_node(
    node: yaml.Node, text: str, file: str, make: Callable[[Document], R], stand_in: StandIn, found: Found[R]
) -> None:
    """Read one document, repeatedly if needed, and add its result and mistakes to `found`."""
    repair = _Repair(node, stand_in)
    most = max(1, min(MOST, _EFFORT // len(text)))
    for _ in range(most):
        try:
            document = Document(file, node, text)
            if not document.is_only_shared:
                found.made.append(make(document))
            return
        except FileError as error:
            if not repair.is_consequence(error):
                found.mistakes.append(error)
            if not repair.take_out(error):
                return


class _Repair:
    """Removes mistakes from the nodes of a document.

    Args:
        root: the root node of the document.
    """

    def __init__(self, root: yaml.Node, stand_in: StandIn) -> None:
        self._root = root
        self._stand_in = stand_in
        self._made: list[yaml.Node] = []
        self._lacking: list[tuple[yaml.Node, object]] = []

    def is_consequence(self, error: FileError) -> bool:
        """Return True if an error is only a consequence of removing a mistake."""
        if not isinstance(error, DocumentError):
            return False
        if error.is_absent:
            return any(node is error.node and key == error.at[-1] for node, key in self._lacking)
        if error.node is None or error.node is self._root:
            return False
        inside = {id(node) for node in _inside(error.node)}
        return any(id(node) in inside for node in self._made)

    def take_out(self, error: FileError) -> bool:
        """Remove a mistake.

        Returns:
            True if it was removed.
        """
        if not isinstance(error, DocumentError) or error.node is None or error.node in self._made:
            return False
        if error.is_absent:
            return self._add(error.node, error.at) or self._replace(error.node, error.at[:-1])
        if error.meant and self._rename(error.node, error.meant, error.at):
            return True
        if error.node.tag not in PLAIN_TAGS:
            error.node.tag = "!"
            return True
        return self._replace(error.node, error.at)

    def _add(self, mapping: yaml.Node, at: Path) -> bool:
        """Add a key that is missing."""
        written = self._stand_in(at, _names(mapping))
        if written is None:
            return False
        key = yaml.ScalarNode("tag:yaml.org,2002:str", str(at[-1]), mapping.start_mark)
        mapping.value.append((key, self._node(written)))
        return True

    def _rename(self, key: yaml.Node, meant: str, at: Path) -> bool:
        """Rename an unknown key to the one that was probably meant, unless that exists, too."""
        is_alike = difflib.SequenceMatcher(None, str(key.value), meant).ratio() >= _ALIKE
        for mapping in _inside(self._root):
            names = _names(mapping)
            if key.value not in names:
                continue
            if meant in names:
                return False
            if not is_alike and (written := self._stand_in((*at[:-1], meant), names)) is not None:
                # Its value may be meant for another key.
                mapping.value = [(k, self._node(written) if k is key else v) for k, v in mapping.value]
            elif not is_alike:
                return False
        key.value = meant
        return True

    def _replace(self, node: yaml.Node, at: Path) -> bool:
        """Replace a value by its stand-in; if there is none, remove the value with its key."""
        if node is self._root:
            return False
        for within in [part for part in _inside(self._root) if isinstance(part, yaml.CollectionNode)]:
            kept: list[Any] = []
            names = _names(within)
            for child in within.value:
                key, value = child if isinstance(child, tuple) else (None, child)
                if node is not key and node is not value:
                    kept.append(child)
                elif node is value and key is not None and (written := self._stand_in(at, names)) is not None:
                    kept.append((key, self._node(written)))
                elif key is not None:
                    self._lacking.append((within, key.value))
            emptied = bool(within.value) and not kept
            within.value = kept
            if emptied and at and within is not self._root and not self._replace(within, at[:-1]):
                return False
        return True

    def _node(self, written: str) -> yaml.Node:
        (node,) = yaml.compose_all(written, LOADER)
        self._made.append(node)
        return node


def _inside(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield a node and all nodes in it, each once even if it has aliases."""
    had, left = set[int](), [node]
    while left:
        node = left.pop()
        if id(node) in had:
            continue
        had.add(id(node))
        yield node
        for child in node.value if isinstance(node, yaml.CollectionNode) else ():
            left += child if isinstance(child, tuple) else [child]


def _names(node: yaml.Node) -> set[str]:
    """Return the keys of a mapping; empty for any other node."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)}
