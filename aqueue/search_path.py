"""Python's search path without the current directory.

A project there may have its own `queue.py` or `random.py`.
"""

import os
import sys


def without_current_directory() -> list[str]:
    """Return `sys.path` without the current directory, unless aqueue itself lies there."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - as text
    try:
        here = os.getcwd()  # noqa: PTH109 - as text
    except FileNotFoundError:
        here = ""
    return [place for place in sys.path if place == own or (place and _whole(place) != here)]


def _whole(place: str) -> str:
    return os.path.abspath(place)  # noqa: PTH100 - as text
