"""The name that was probably meant by a misspelt one."""

import re
from collections.abc import Collection, Iterable
from typing import Final

_ALIKE: Final = 0.6


def nearest(name: str, known: Collection[str]) -> str:
    """Return the most similar known name; empty if none is similar.

    >>> nearest("lrr", ["lr", "seed"]), nearest("train.LR", ["lr", "seed"]), nearest("x", ["lr"])
    ('lr', 'lr', '')
    """
    # Imported here: only a mistake needs it.
    import difflib

    # Compare whole names, and the parts after the last dot.
    ways = {one.rpartition(".")[2].lower(): one for one in reversed([*known])}
    ways |= {one.lower(): one for one in reversed([*known])}
    whole, end = name.lower(), name.rpartition(".")[2].lower()
    near = [way for way in (whole, end) if way in ways]
    near = (
        near
        or difflib.get_close_matches(whole, ways, 1, _ALIKE)
        or difflib.get_close_matches(end, ways, 1, _ALIKE)
    )
    return ways[near[0]] if near else ""


def near_name(name: str, known: Iterable[str]) -> str:
    """Return the most similar known name; empty if none is, or it differs in a number alone.

    >>> near_name("gpuu", ["gpu", "cpu"]), near_name("gpu1", ["gpu0"]), near_name("night", ["gpu"])
    ('gpu', '', '')
    """
    # Names that differ in a number alone are siblings.
    return nearest(name, sorted(one for one in known if _without_digits(one) != _without_digits(name)))


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint that names the most similar known name, or another hint."""
    near = near_name(name, known)
    return f"did you mean {near}?" if near else otherwise


def _without_digits(name: str) -> str:
    return re.sub(r"[-_.]*[0-9]+", "", name)
