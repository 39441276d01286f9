"""Sizes, durations, counts and lists as people write them."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

# Patterns that JavaScript understands, too: they are also those of the JSON Schema.
SIZE_PATTERN: Final = r"\s*(\d+(?:\.\d+)?) ?([KMGTkmgt][iI]?[bB]?|[bB])?\s*"
DURATION_PATTERN: Final = r"\d+(?:\.\d+)?|(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?"

_SIZE = re.compile(SIZE_PATTERN, re.ASCII)

_MAX: Final = 1 << 60

_UNITS: Final = "KMGT"

SIZE: Final = "a size such as 20GiB or 500MiB"
"""The expected form of a size, for messages."""


def parse_size(written: str | float) -> int:
    """Return the number of bytes.

    Args:
        written: a number of bytes, or a number with a unit: `20GiB`; `GB` and `G` mean the same.

    Raises:
        ValueError: it is neither, negative or too large.

    >>> parse_size("20GiB"), parse_size("1.5M")
    (21474836480, 1572864)
    """
    match = _SIZE.fullmatch(str(written))
    if isinstance(written, bool) or match is None:
        raise ValueError(written)
    unit = (match[2] or "B")[0].upper()
    size = float(match[1]) * (1 if unit == "B" else 1024 ** (_UNITS.index(unit) + 1))
    if size > _MAX:
        raise ValueError(written)
    return round(size)


def spell_size(size: int) -> str:
    """Return a size in words, rounded down.

    >>> spell_size(21474836480), spell_size(524288000)
    ('20 GiB', '500 MiB')
    """
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**power:
            tenths = size * 10 // 1024**power
            return f"{tenths / 10:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} B"


def write_size(size: int) -> str:
    """Return a size as a task file has it: exactly.

    >>> write_size(20 << 30), write_size(1000)
    ('20GiB', '1000')
    """
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{unit}"
    return str(size)


_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SIZES = (*_SECONDS.values(), 0.001)


def parse(written: str | float) -> float:
    """Return a duration in seconds.

    Args:
        written: a number of seconds, or days, hours, minutes, seconds and milliseconds in that order.

    Raises:
        ValueError: it is neither, or negative or infinite.

    >>> parse("1h30m")
    5400.0
    """
    match = _DURATION.fullmatch(written) if isinstance(written, str) else None
    if match and any(match.groups()):
        seconds = sum(float(count) * size for count, size in zip(match.groups("0"), _SIZES, strict=True))
    elif match or not isinstance(written, str):
        seconds = float(written)
    else:
        raise ValueError(written)
    if isinstance(written, bool) or not 0 <= seconds < float("inf"):
        raise ValueError(written)
    return seconds


def spell(seconds: float) -> str:
    """Return a duration in words, with at most two units.

    >>> spell(5400), spell(0.0314), spell(7.25)
    ('1h30m', '31ms', '7.2s')
    """
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    parts = []
    for unit, size in _SECONDS.items():
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return "".join(parts[:2])


def spell_about(seconds: float) -> str:
    """Return a rough duration in words.

    >>> spell_about(5400), spell_about(547), spell_about(31.4), spell_about(200000)
    ('1h30m', '9m', '31s', '2d8h')
    """
    for below, unit in ((60, 1), (3600, 60), (36000, 600), (math.inf, 3600)):
        rounded = max(round(seconds / unit), 1) * unit
        if rounded < below:
            return spell(rounded)
    raise ValueError(seconds)


def write(seconds: float) -> str:
    """Return a duration as a task file has it: exactly.

    >>> write(93784), write(0.5), write(0)
    ('1d2h3m4s', '0.5', '0')
    """
    if not seconds or seconds % 1:
        # Imported here: it is rarely needed. No duration is written with an exponent.
        from decimal import Decimal

        return f"{Decimal(repr(seconds)):f}"
    left, parts = int(seconds), []
    for unit, size in _SECONDS.items():
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def plural(number: int, one: str, many: str) -> str:
    """Return the singular or plural for a number.

    >>> plural(1, "is", "are"), plural(0, "is", "are")
    ('is', 'are')
    """
    return one if number == 1 else many


def either(names: Sequence[str]) -> str:
    """Return names as alternatives.

    >>> either(["a"]), either(["a", "b", "c"])
    ('a', 'a, b or c')
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else f"{last}"


def listed(names: Sequence[str], most: int) -> str:
    """Return the first of some names, and how many more there are.

    >>> listed(["a", "b"], 2), listed(["a", "b", "c"], 2)
    ('a, b', 'a, b and 1 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def named(noun: str, names: Sequence[str], most: int) -> str:
    """Return a noun with the first of some names, and how many more there are.

    >>> named("run", ["3"], 2), named("run", ["3", "4", "5"], 2)
    ('run 3', 'runs 3, 4 and 1 more')
    """
    return f"{plural(len(names), noun, noun + 's')} {listed(names, most)}"


def listed_gpus(labels: Iterable[str]) -> str:
    """Return GPUs by their labels.

    >>> listed_gpus(["0"]), listed_gpus(["0", "1", "2"])
    ('GPU 0', 'GPUs 0, 1 and 2')
    """
    *others, last = labels
    return f"GPUs {', '.join(others)} and {last}" if others else f"GPU {last}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "run"), counted(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {plural(number, noun, noun + 's')}"
