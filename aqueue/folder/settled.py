"""Read leases, which tell that nobody is writing a file."""

import errno
import fcntl
import functools
import os
from pathlib import Path

from aqueue.folder.mounts import kind_of, sees_every_writer

MOUNTS = Path("/proc/self/mountinfo")
"""Where the kernel says what is mounted."""


def hold_still(descriptor: int) -> bool | None:
    """Keep others from opening the file for writing until it is closed here.

    Returns:
        True if nobody had it open for writing; None where that cannot be known: others may write to it from
        another machine, or below the file system that it is on.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    return True if _is_trusted(MOUNTS, os.fstat(descriptor).st_dev) else None


def is_awaited(descriptor: int) -> bool:
    """Return True if somebody waits to open a file for writing; ask only if `hold_still` holds it."""
    return fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_UNLCK


@functools.lru_cache(maxsize=64)
def _is_trusted(mounts: Path, device: int) -> bool:
    try:
        text = mounts.read_text(errors="surrogateescape")
    except OSError:
        return True
    return sees_every_writer(kind_of(text, (os.major(device), os.minor(device))))
