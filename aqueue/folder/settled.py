"""Read leases, which show that nobody is writing a file."""

import errno
import fcntl
import functools
import os
from pathlib import Path

from aqueue.folder.mounts import kind_of, sees_every_writer

MOUNTS = Path("/proc/self/mountinfo")
"""The kernel's table of mounts."""


def take_lease(descriptor: int) -> bool | None:
    """Take a read lease on a file: nobody can open it for writing until it is closed here.

    Returns:
        True if nobody has it open for writing, False if somebody has; None if that cannot be known, because others
        may write to it from another machine or below its file system.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    return True if _is_trusted(MOUNTS, os.fstat(descriptor).st_dev) else None


@functools.lru_cache(maxsize=64)
def _is_trusted(mounts: Path, device: int) -> bool:
    try:
        text = mounts.read_text(errors="surrogateescape")
    except OSError:
        return True
    return sees_every_writer(kind_of(text, (os.major(device), os.minor(device))))
