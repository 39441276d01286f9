"""A wall clock that a test sets: for every process that it starts, and while it lives.

They have a small library in LD_PRELOAD, see `wallclock.c`. Their monotonic clock, and how long they sleep, is as
ever.
"""

import atexit
import functools
import mmap
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

_SECOND = 1_000_000_000


class WallClock:
    """The time of day of all processes that are started with its environment; it goes on from where it is set.

    Args:
        path: of a file that it makes, and those processes read.
    """

    def __init__(self, path: Path) -> None:
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(_library()), "TEST_CLOCK_OFFSET": str(path)}
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            # Written by one instruction: nobody ever sees half of it.
            self._offset = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")

    def set(self, moment: datetime | float) -> None:
        """Have it be that moment now."""
        seconds = moment.timestamp() if isinstance(moment, datetime) else moment
        self._offset[0] = round(seconds * _SECOND) - time.time_ns()

    def advance(self, seconds: float) -> None:
        """Have it jump; back, if that is negative."""
        self._offset[0] += round(seconds * _SECOND)

    def now(self) -> float:
        """Seconds since the epoch."""
        return (time.time_ns() + self._offset[0]) / _SECOND

    @property
    def moment(self) -> datetime:
        """The same as a date and time in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)


@functools.cache
def _library() -> Path:
    """The library, for as long as the tests go on; a test that needs it is skipped where it cannot be made."""
    if sys.platform != "linux" or platform.architecture()[0] != "64bit":
        pytest.skip("only on a Linux of 64 bits can the wall clock of a process be set")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a wall clock with")
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    library = directory / "wallclock.so"
    source = Path(__file__).with_name("wallclock.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return library
