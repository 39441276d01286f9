"""Plain values in YAML: parsing them, and showing them in errors. Pure.

Stricter than YAML: only text that people read as a number, a truth value or null is one; `1:30`, `007`
and `2026-11-22` are text, as written.
"""

import math
import re
from typing import Any, Final

import yaml

from aqueue.model.values import Scalar, Spelled, Value, spelled

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
LITERALS: Final = {
    "true": True, "True": True, "TRUE": True, "yes": True, "Yes": True, "on": True, "On": True,
    "false": False, "False": False, "FALSE": False, "no": False, "No": False, "off": False, "Off": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip
"""The words that are not text: those of YAML 1.1, of which `y` and `n` are left out, as they are names, too."""


def value_of(node: yaml.ScalarNode) -> Value:
    """Return the value of a node. Quotes and `!!str` make it text."""
    text: str = node.value
    if node.style:
        return text
    if node.tag == "tag:yaml.org,2002:str" and not _FLOAT.fullmatch(text):
        return text
    return parse_value(text)


def parse_value(text: str) -> Value:
    """Return the value of unquoted text, with its spelling."""
    return spelled(text, parse_scalar(text))


def parse_scalar(text: str) -> Scalar:
    """Return the plain value of unquoted text."""
    if text in LITERALS:
        return LITERALS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _FLOAT.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text


def describe(value: Any) -> str:
    """Return a value as an error shows it, with long text cut."""
    match value:
        case Spelled():
            return value.text
        case None:
            return "nothing"
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 40 else value[:37] + "...")
    return str(value)
