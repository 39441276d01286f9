"""Merge keys in YAML nodes: `<<: *base` adds the keys of another mapping that this one lacks. Pure."""

from collections.abc import Callable
from typing import Final

import yaml

from aqueue.errors import FileError
from aqueue.formats.yaml_errors import TOO_MUCH

MAX_KEYS: Final = 50_000
"""The most keys of a document to merge, including those that are overridden."""

_TAG = "tag:yaml.org,2002:merge"
_DEEPEST = 20
_EXPECTED = "'<<' takes a mapping, or a list of them"
_HOW = "mark a block as in x-base: &base {retries: 2}, and write <<: *base"

_Pair = tuple[yaml.Node, yaml.Node]


class MergeKeys:
    """The merge keys of a document.

    Args:
        error: returns the error at a node, with a message and hint.
        mend: is called with each mapping before its keys are added to another.
    """

    def __init__(
        self, error: Callable[[yaml.Node, str, str], FileError], mend: Callable[[yaml.CollectionNode], None]
    ) -> None:
        self._error = error
        self._mend = mend
        self._count = 0
        self._begun: list[yaml.Node] = []

    def resolve(self, node: yaml.MappingNode) -> int:
        """Replace the merge keys of a mapping by the merged keys.

        A key of the mapping itself wins, then the first mapping of a list. The nodes are those that the keys were
        written as, so that errors are placed there.

        Returns:
            the number of keys read.

        Raises:
            FileError: a merge key has no mapping, or stands for too much.
        """
        merges = [key for key, _ in node.value if key.tag == _TAG]
        if not merges:
            return 0
        if len(merges) > 1:
            raise self._error(merges[1], "'<<' is given twice", "merge several as in <<: [*one, *other]")
        if node in self._begun or len(self._begun) > _DEEPEST:
            raise self._error(merges[0], *TOO_MUCH)
        before = self._count
        self._begun.append(node)
        had = {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
        pairs: list[_Pair] = []
        for key, value in node.value:
            pairs += self._added(value, had) if key.tag == _TAG else [(key, value)]
        node.value = pairs
        self._begun.pop()
        return self._count - before

    def _added(self, value: yaml.Node, had: set[str]) -> list[_Pair]:
        """Return the keys that a merge key adds to those the mapping has."""
        added: list[_Pair] = []
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(source, yaml.MappingNode):
                raise self._error(source, _EXPECTED, _HOW)
            if source.flow_style:
                self._mend(source)
            self.resolve(source)
            self._count += len(source.value)
            if self._count > MAX_KEYS:
                raise self._error(source, *TOO_MUCH)
            for key, child in source.value:
                if not isinstance(key, yaml.ScalarNode) or key.value not in had:
                    added.append((key, child))
                    had.add(str(key.value))
        return added
