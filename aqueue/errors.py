"""Errors that a user can fix."""

import errno
from collections.abc import Iterable

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Self

DISK_FULL: "Final" = (errno.ENOSPC, errno.EDQUOT)
"""The system's errors if the disk or a quota is full; `checkout` has its own copy."""

EXHAUSTED: "Final" = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""The system's errors if open files or memory run out."""

MORE_PROCESSES: "Final" = "end some processes, or raise the limit shown by `ulimit -u`, or that of the container"
"""The hint if no more processes or threads can be started."""

_HINTS: "Final" = {
    **dict.fromkeys(DISK_FULL, "free some space on the disk or in the quota"),
    errno.ENOMEM: "free some memory, and try again",
    errno.EMFILE: "raise the limit shown by `ulimit -n`",
    errno.ENFILE: "close some files on this machine, or raise `sysctl fs.file-max`",
    errno.EROFS: "mount it writable, or use another folder",
    errno.EIO: "the disk or its network connection fails; see `dmesg`",
    errno.ESTALE: "mount it again: the file server no longer knows it",
}


def is_without_process(error: OSError) -> bool:
    """Return True if no process or thread could be started; with a file name, EAGAIN means something else."""
    return error.errno == errno.EAGAIN and not error.filename


def advice(error: OSError, otherwise: str) -> str:
    """Return what to do about an error of the system; `otherwise` if the error alone does not say."""
    return MORE_PROCESSES if is_without_process(error) else _HINTS.get(error.errno or 0, otherwise)


MAX_REPORTED: "Final" = 10
"""The number of errors in files to report at once; the others are only counted."""


class AqueueError(Exception):
    """An action failed for a reason that a user can fix.

    Args:
        message: what is wrong, and where; one line.
        hint: what to do; one line, or empty if the message is enough.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def problems(self) -> list[tuple[str, str]]:
        """Return each problem with its hint."""
        return [(self.message, self.hint)]


class UsageError(AqueueError):
    """Wrong usage of a command."""

    exit_code = 2


class FileError(AqueueError):
    """An error in a task file or a configuration.

    Args:
        path: the file, as the reader of the message knows it.
        line: the line of the error, from 1; 0 if it concerns the whole file.
        column: the column of the error, from 1.
        message: what is wrong.
        hint: what to do.

    Attributes:
        others: further errors, which have no others of their own.
    """

    exit_code = 2

    def __init__(self, path: str, line: int, column: int, message: str, hint: str = "") -> None:
        where = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{where}: {message}", hint)
        self.path, self.line, self.column = path, line, column
        self.others: tuple[Self, ...] = ()

    @classmethod
    def together(cls, errors: "Iterable[Self]") -> "Self":
        """Return the first error by file and line, with the others attached, without duplicates."""
        every = {one.message: one for error in errors for one in (error, *error.others)}
        files = list(dict.fromkeys(error.path for error in every.values()))
        first, *others = sorted(
            every.values(), key=lambda error: (files.index(error.path), error.line, error.column)
        )
        for error in others:
            error.others = ()
        first.others = tuple(others)
        return first

    def problems(self) -> list[tuple[str, str]]:
        """Return the first problems, each with its hint, and how many more there are."""
        every: list[FileError] = [self, *self.others]
        reported = [(error.message, error.hint) for error in every[:MAX_REPORTED]]
        left = len(every) - len(reported)
        return [*reported, (f"and {left} more", "")] if left else reported

    def text(self) -> str:
        """Return the problems as text, with hints on separate lines."""
        return "\n".join(line for problem in self.problems() for line in problem if line)

    def lines(self) -> list[str]:
        """Return the problems as lines, one for each."""
        return ["; ".join(filter(None, problem)) for problem in self.problems()]


class FolderError(AqueueError):
    """The folder is missing or not safe to use."""


class DatabaseError(AqueueError):
    """The database cannot be read or written."""


class DiskFullError(DatabaseError):
    """The disk is full."""


class BusyError(DatabaseError):
    """Another process keeps the database locked."""


class QueueError(AqueueError):
    """A queue is empty, or accepts no runs now."""


class ShortageError(AqueueError):
    """The system has run out of a resource, such as threads."""


class RunError(AqueueError):
    """A run does not exist, or its state does not allow the action."""


class WaitTimeoutError(RunError, TimeoutError):
    """Runs are not over after the time for which they were waited for."""


class ScheduleError(AqueueError):
    """A schedule does not exist, or its name is taken."""


class SnapshotError(AqueueError):
    """A snapshot of the code cannot be made or checked out."""
