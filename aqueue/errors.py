"""What can go wrong in a way that a person can mend."""

import errno
from typing import Final

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when the disk, or what a user may have of it, is full; `checkout` has its own."""

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What it says when there are no more open files, or no memory, to be had just then."""


class AqueueError(Exception):
    """Something could not be done.

    Args:
        message: what is wrong, and where; one line.
        hint: what to do about it; one line, or empty when the message says it all.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AqueueError):
    """A command was given something it cannot take."""

    exit_code = 2


class FileError(AqueueError):
    """A task file or a configuration has an error in it.

    Args:
        path: the file, as the person who reads the message knows it.
        line: of the error, from 1; 0 when it concerns the file as a whole.
        column: of the error, from 1.
        message: what is wrong.
        hint: what to do about it.
    """

    exit_code = 2

    def __init__(self, path: str, line: int, column: int, message: str, hint: str = "") -> None:
        where = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{where}: {message}", hint)


class FolderError(AqueueError):
    """There is no folder, or it is not safe to use."""


class DatabaseError(AqueueError):
    """The database cannot be read or written."""


class DiskFullError(DatabaseError):
    """There is no room left for what must be written."""


class BusyError(DatabaseError):
    """Another process keeps the database locked."""


class QueueError(AqueueError):
    """A queue is empty, or does not take anything now."""


class RunError(AqueueError):
    """A run does not exist, or is not in a state in which this can be done to it."""


class ScheduleError(AqueueError):
    """A schedule does not exist, or there is another of its name."""


class SnapshotError(AqueueError):
    """The code cannot be kept as it is, or an attempt cannot have a checkout of it."""
