"""Work to be done in one transaction."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
