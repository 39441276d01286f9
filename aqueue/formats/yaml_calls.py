"""Calls such as `range(1, 5)` in YAML nodes, where YAML takes the comma for the end of a value. Pure."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

from aqueue.errors import FileError

CALL: Final = re.compile(r"(range|choice|uniform|loguniform)\(")
"""The start of text that means several values; see `sweep_syntax`."""

PLAIN_TAGS: Final = {"!"} | {
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")
}
"""The tags of plain values. Other tags are refused."""

_GAP = re.compile(r" *, *")


class Calls:
    """Joins calls that YAML has split.

    Args:
        text: the text of the nodes.
        unclosed: returns the error for an unclosed call in a collection.
    """

    def __init__(self, text: str, unclosed: Callable[[yaml.ScalarNode, yaml.Node], FileError]) -> None:
        self._text = text
        self._unclosed = unclosed

    def mend(self, node: yaml.CollectionNode) -> None:
        """Undo the split of `{seed: range(1, 5)}`, in which seed is `range(1`, and `5)` a key without a value.

        This is done to the nodes: the same key may be left over of several calls, an error is to be placed at the
        call, and what an anchor marks is to be the whole of it. YAML itself refuses quotes right before the end.
        """
        children, mended = iter(node.value), []
        for child in children:
            value = child[1] if isinstance(child, tuple) else child
            if is_bare(value) and CALL.match(value.value):
                self._close_call(value, children, node)
            mended.append(child)
        node.value = mended

    def _close_call(self, call: yaml.ScalarNode, rest: Iterator[Any], within: yaml.Node) -> None:
        """Move the rest of a call from the following nodes into it."""
        parts = [call.value]
        depth = call.value.count("(") - call.value.count(")")
        while depth > 0:
            piece = next(rest, None)
            if isinstance(piece, tuple):
                key, value = piece
                piece = key if is_bare(value) and not value.value else None
            if not isinstance(piece, yaml.ScalarNode) or piece.tag not in PLAIN_TAGS:
                raise self._unclosed(call, within)
            # Take the text as written, because the comma may be within quotes.
            gap = self._text[call.end_mark.index : piece.start_mark.index]
            parts.append(gap if _GAP.fullmatch(gap) else ", ")
            if piece.style:
                parts.append(self._text[piece.start_mark.index : piece.end_mark.index])
            else:
                parts.append(piece.value)
                depth += piece.value.count("(") - piece.value.count(")")
            call.end_mark = piece.end_mark
        call.value = "".join(parts)


def is_bare(node: yaml.Node) -> bool:
    """Return True for a scalar without quotes and tags."""
    return isinstance(node, yaml.ScalarNode) and not node.style and node.tag in PLAIN_TAGS
