"""Commands that wait for their input, as /proc shows them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aqueue.executors import attempt_input

_MAX_PROCESSES: Final = 50
"""The number of processes of a command that are looked at."""

_WAITS: Final = ("pipe_read", "pipe_wait")
"""The kernel's functions in which a process waits for a pipe; newer names end with these."""


def is_among(command: int, attempt: str) -> bool:
    """Return True if a command, or one of its children, waits for the input of an attempt."""
    try:
        status = os.stat(attempt_input.path(attempt), follow_symlinks=False)  # noqa: PTH116 - a text already
    except OSError:
        return False
    return any(_waits(pid, status) for pid, _ in zip(_family(command), range(_MAX_PROCESSES), strict=False))


def _waits(pid: int, pipe: os.stat_result) -> bool:
    """Return True if a process waits in a read, and its standard input is this pipe."""
    try:
        reads = Path(f"/proc/{pid}/wchan").read_text().endswith(_WAITS)
        return reads and os.path.samestat(Path(f"/proc/{pid}/fd/0").stat(), pipe)
    except OSError:
        return False


def _family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    left = [pid]
    while left:
        pid = left.pop(0)
        yield pid
        try:
            left += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
