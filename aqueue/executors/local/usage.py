"""The resources that an attempt used, and how often the kernel killed processes for lack of memory meanwhile."""

import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.executors.local.process import Process
from aqueue.model.outcome import Outcome
from aqueue.model.run import Usage

_VMSTAT: Final = "/proc/vmstat"
_CONTROL_GROUPS: Final = "/sys/fs/cgroup"
_PAGE: Final = 1 << 12
_TICK: Final = 0.1
"""The seconds within which attempts that start share a reading: the kernel takes long to list its counters."""
_OOM_KILL: Final = re.compile(rb"^oom_kill (\d+)\n", re.MULTILINE)
_PYTHON: Final = re.compile(r"(?:\S*/)?python[\d.]*")
_KIBI: Final = 1 if sys.platform == "darwin" else 1024
"""The bytes of one unit of `ru_maxrss`."""


class OomKills(NamedTuple):
    """The numbers of processes that the kernel has killed for lack of memory; None if unknown.

    Attributes:
        machine: on the machine, since its boot.
        group: in the control group of this process, to which its attempts belong, too.
    """

    machine: int | None
    group: int | None


class Meter:
    """The measurement of an attempt that this process starts.

    Args:
        command: of its task.
        variables: the environment of the command.
    """

    def __init__(self, command: str | Sequence[str], variables: Mapping[str, str]) -> None:
        self._command = command
        self._path = variables.get("PATH")
        self._before: OomKills | None = None

    def begin(self) -> None:
        """Read the counters; soon after the start, which does not have to wait for that."""
        self._before = _read_in_tick(int(time.monotonic() / _TICK))

    def read(self, process: Process, outcome: Outcome) -> Usage:
        """Return what the attempt used; after its process was reaped.

        Counters are read only after a failure, which they may explain.
        """
        used = process.used
        is_failed = outcome.exit_code != 0
        after = read_oom_kills() if is_failed and self._before is not None else OomKills(None, None)
        before = self._before or after
        return Usage(
            cpu_seconds=None if used is None else used.ru_utime + used.ru_stime,
            peak_memory=None if used is None else _peak_memory(used),
            oom_kills=_difference(before.machine, after.machine),
            oom_kills_in_group=_difference(before.group, after.group),
            python=_python(self._command, self._path),
        )


def read_oom_kills() -> OomKills:
    """Read the counters of this system."""
    file = _file_of_group()
    return OomKills(count_oom_kills(_VMSTAT), None if file is None else count_oom_kills(file))


@lru_cache(maxsize=1)
def _read_in_tick(_: int) -> OomKills:
    """Return a reading of the counters from the tick with this number."""
    return read_oom_kills()


def _peak_memory(used: resource.struct_rusage) -> int | None:
    """Return the peak memory of the largest process; None if it is no larger than this process was.

    Linux passes the peak of a process on to those that it spawns.
    """
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used.ru_maxrss * _KIBI if used.ru_maxrss > own else None


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


@cache
def _file_of_group() -> str | None:
    """Return the file that counts the kills in this process's control group; None if there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers == "":
            found = f"{_CONTROL_GROUPS}{path}/memory.events"
        elif "memory" in controllers.split(","):
            found = f"{_CONTROL_GROUPS}/memory{path}/memory.oom_control"
        else:
            continue
        if count_oom_kills(found) is not None:
            return found
    return None


def count_oom_kills(path: str) -> int | None:
    """Return the value of `oom_kill` in a file of the kernel; None if there is none."""
    text = b""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The kernel gives a page at a time.
            while (found := _OOM_KILL.search(text)) is None and (more := os.read(descriptor, _PAGE)):
                text += more
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return int(found[1]) if found else None


def _python(command: str | Sequence[str], path: str | None) -> str | None:
    """Return the path of the Python that a command names; None if it names none."""
    words = command.split() if isinstance(command, str) else command
    name = next((word for word in words if _PYTHON.fullmatch(word)), None)
    return None if name is None else shutil.which(name, path=path)
