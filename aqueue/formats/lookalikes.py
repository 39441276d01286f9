"""Text that is one value of a param but looks like several: how to write several. Pure."""

import re
from decimal import Decimal
from typing import Final

from aqueue.formats.yaml_values import parse_scalar
from aqueue.model.values import is_number

GUILD: Final = re.compile(r"(range|uniform|loguniform|linspace|logspace)\[(.*)\]", re.DOTALL)
"""A call in Guild's syntax."""

_NUMBER = r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_DOTS = re.compile(
    rf"({_NUMBER})\s*(?:\.{{2,3}}|…|\u2013|\u2014|\bto\b)\s*({_NUMBER})(?:\s*(?:\.{{2,3}}|…)\s*({_NUMBER}))?",
    re.ASCII,
)
_DASH_OR_COLON = re.compile(rf"({_NUMBER})\s*[-:]\s*({_NUMBER})(?:\s*:\s*({_NUMBER}))?", re.ASCII)
_COMMAS = re.compile(r"[\w.+-]+(?:\s*,\s*[\w.+-]+)+", re.ASCII)
_BLANKS = re.compile(rf"{_NUMBER}(?:\s+{_NUMBER})+", re.ASCII)
_FUNCTION = re.compile(r"([A-Za-z_]\w*)\s*[(\[](.*?)[)\]]?", re.DOTALL)
_WORDS = re.compile(rf"(range|uniform|loguniform)\s+({_NUMBER})\s+({_NUMBER})", re.ASCII | re.IGNORECASE)

_OURS: Final = ("range", "choice", "uniform", "loguniform")
_THEIRS: Final = {
    **dict.fromkeys(("choices", "sample", "grid", "grid_search", "categorical"), "choice"),
    **dict.fromkeys(("arange", "randint", "randrange", "interval", "xrange"), "range"),
    **dict.fromkeys(("random", "quniform"), "uniform"),
    "log_uniform": "loguniform",
    **dict.fromkeys(("linspace", "logspace", "geomspace"), ""),
}
"""Functions of other tools, and our nearest one; empty if only a list can express the values."""

_MOST_LISTED = 20


def meant_by(text: str) -> str:
    """Return how to write the values that a text seems to mean; empty if it seems to be plain text.

    >>> meant_by("1..5"), meant_by("0.1, 0.01"), meant_by("adam")
    ('range(1, 6)', '[0.1, 0.01]', '')
    """
    text = text.strip()
    if numbers := _between_dots(text):
        return numbers
    if _COMMAS.fullmatch(text) or _BLANKS.fullmatch(text):
        return f"[{', '.join(text.replace(',', ' ').split())}]"
    if found := _WORDS.fullmatch(text):
        return f"{found[1].lower()}({found[2]}, {found[3]})"
    return _function(text)


def meant_by_axis(text: str) -> str:
    """Return the same for the only value of a param in a matrix, where several values are likely.

    >>> meant_by_axis("1-5"), meant_by("1-5")
    ('range(1, 6)', '')
    """
    if (found := _DASH_OR_COLON.fullmatch(text.strip())) and float(found[1]) < float(found[2]):
        return _span(found[1], found[2], found[3])
    return meant_by(text)


def kind_of(meant: str) -> str:
    """Return the kind of the values that `meant_by` has found, in words.

    >>> kind_of("range(1, 6)"), kind_of("[0.1, 0.01]")
    ('a range', 'a list')
    """
    return "a range" if meant.startswith("range(") else "a list" if meant.startswith("[") else "several values"


def lacks_comma(text: str) -> bool:
    """Return True if a text is numbers separated only by blanks, as in [0.1 0.01]."""
    return _BLANKS.fullmatch(text.strip()) is not None


def is_range(text: str) -> bool:
    """Return True if a text must mean a range of numbers, such as 1..5."""
    return bool(_between_dots(text.strip()))


def from_guild(name: str, written: str) -> str:
    """Return the hint for Guild's syntax, such as `name[1:5]`."""
    numbers = between_colons(written)
    if name == "range" and len(numbers) in (2, 3):
        # Guild's range includes its end, as if the end were one step, or at most 1, larger.
        numbers[1] += min([*numbers[2:], Decimal(1)])
    elif name not in ("uniform", "loguniform") or len(numbers) != 2:
        return "this is written as in Guild; write a call such as range(1, 6), or a list of values"
    end = ", which excludes its end" if name == "range" else ""
    return f"this is written as in Guild; write {name}({', '.join(map(str, numbers))}){end}"


def between_colons(written: str) -> list[Decimal]:
    """Return the numbers between colons, as Guild reads them; empty if a part is not a number."""
    found = [parse_scalar(part.strip()) for part in written.split(":")]
    return [Decimal(str(number)) for number in found] if all(map(is_number, found)) else []


def _between_dots(text: str) -> str:
    found = _DOTS.fullmatch(text)
    return _span(found[1], found[2], found[3]) if found else ""


def _span(low: str, high: str, step: str | None) -> str:
    """Return the call for the numbers between two; integer bounds are both included."""
    if not all(_is_whole(number) for number in (low, high, step or "1")):
        return f"range({low}, {high}, {step})" if step else f"uniform({low}, {high})"
    first, last, each = int(low), int(high), int(step or 1)
    if first > last:
        each = -abs(each)
    end = last + (1 if each > 0 else -1)
    return f"range({first}, {end})" if each == 1 else f"range({first}, {end}, {each})"


def _is_whole(number: str) -> bool:
    return re.fullmatch(r"[-+]?\d{1,18}", number) is not None


def _function(text: str) -> str:
    """Return our call for a text that looks like a call."""
    found = _FUNCTION.fullmatch(text)
    name = found[1].lower() if found else ""
    if not found or (name not in _OURS and name not in _THEIRS):
        return ""
    ours = name if name in _OURS else _THEIRS[name]
    inside = found[2].strip() if text.endswith((")", "]")) else ""
    if not ours:
        return _evenly(inside) if name == "linspace" else "[…]"
    between = _between_dots(inside)
    if ours == "range" and between.startswith("range("):
        return between
    return f"{ours}({inside})" if ours in ("range", "choice") and name in _OURS and inside else f"{ours}(…)"


def _evenly(inside: str) -> str:
    """Return the list of evenly spaced numbers between two, both included."""
    written = [part.strip() for part in inside.split(",")]
    if len(written) != 3 or not all(re.fullmatch(_NUMBER, part, re.ASCII) for part in written):
        return "[…]"
    if not _is_whole(written[2]) or not 2 <= (count := int(written[2])) <= _MOST_LISTED:
        return "[…]"
    low, high = Decimal(written[0]), Decimal(written[1])
    numbers = [low + (high - low) * index / (count - 1) for index in range(count)]
    return f"[{', '.join(f'{float(number):.6g}' for number in numbers)}]"
