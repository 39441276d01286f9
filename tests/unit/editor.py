"""A YAML file as an editor sees it: by YAML 1.2, as plain JSON values."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASES = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)")


def documents(text: str) -> Iterator[Any]:
    """Yield the documents of a file that are not empty."""
    for node in yaml.compose_all(text, yaml.SafeLoader):
        if (value := _value(node)) is not None:
            yield value


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(child) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        # As the YAML language server, which knows merge keys.
        merged: dict[str, Any] = {}
        for key, child in node.value:
            if key.value == "<<":
                for source in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                    merged = _value(source) | merged
        return merged | {key.value: _value(child) for key, child in node.value if key.value != "<<"}
    assert isinstance(node, yaml.ScalarNode)
    return node.value if node.style else _plain(node.value)


def _plain(text: str) -> Any:
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASES.fullmatch(text):
        return int(text, 0)
    return float(text.replace(".inf", "inf")) if _FLOAT.fullmatch(text) else text
