"""Errors that a user can fix."""

import errno
from collections.abc import Iterable
from typing import Final, Self

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""The system's errors when the disk, or a user's share of it, is full; `checkout` has its own."""

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Its errors when there are no more open files, or no memory, to be had just then."""

MORE_PROCESSES: Final = "end some processes, or raise the limit that `ulimit -u` shows, or that of the container"
"""The hint where there are no more processes, or threads, to be had."""

_HINTS: Final = {
    **dict.fromkeys(DISK_FULL, "make room on the disk, or in the quota"),
    errno.ENOMEM: "end something that needs much memory, and try again",
    errno.EMFILE: "raise the limit that `ulimit -n` shows",
    errno.ENFILE: "the machine has too many files open: close some, or raise `sysctl fs.file-max`",
    errno.EROFS: "mount it so that it can be written to, or use another folder",
    errno.EIO: "the disk, or the network that it is on, fails: `dmesg` says more",
    errno.ESTALE: "mount it again: the server of the file system has lost it",
}


def is_without_process(error: OSError) -> bool:
    """Return True if there was no process or thread to be had; of a file, the same number says something else."""
    return error.errno == errno.EAGAIN and not error.filename


def advice(error: OSError, otherwise: str) -> str:
    """Return what to do about an error of the system; `otherwise`, where the error alone does not tell."""
    return MORE_PROCESSES if is_without_process(error) else _HINTS.get(error.errno or 0, otherwise)


MAX_TOLD: Final = 10
"""The number of mistakes of files that are told at once; the others are only counted."""


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

    def problems(self) -> list[tuple[str, str]]:
        """Return all there is to tell, each with what is wrong and what to do about it."""
        return [(self.message, self.hint)]


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

    Attributes:
        others: the other errors that were found with it, each of them without others.
    """

    exit_code = 2

    def __init__(self, path: str, line: int, column: int, message: str, hint: str = "") -> None:
        where = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{where}: {message}", hint)
        self.path, self.line, self.column = path, line, column
        self.others: tuple[Self, ...] = ()

    @classmethod
    def together(cls, errors: Iterable[Self]) -> Self:
        """Return the first of some errors, by files and lines, with the others; each once."""
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
        """Return the first mistakes, each with its place and what to do about it, and how many more there are."""
        every: list[FileError] = [self, *self.others]
        told = [(error.message, error.hint) for error in every[:MAX_TOLD]]
        left = len(every) - len(told)
        return [*told, (f"and {left} more", "")] if left else told

    def text(self) -> str:
        """Return the same as text, with lines of their own for what to do."""
        return "\n".join(line for problem in self.problems() for line in problem if line)

    def lines(self) -> list[str]:
        """Return the same as lines, one for each."""
        return ["; ".join(filter(None, problem)) for problem in self.problems()]


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


class ShortageError(AqueueError):
    """The system has no more of something to give, such as threads."""


class RunError(AqueueError):
    """A run does not exist, or is not in a state in which this can be done to it."""


class ScheduleError(AqueueError):
    """A schedule does not exist, or there is another of its name."""


class SnapshotError(AqueueError):
    """The code cannot be kept as it is, or an attempt cannot have a checkout of it."""
