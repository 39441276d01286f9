"""Errors of the program, and the exit codes that report them."""

import errno

FAILED = 1
"""The exit code when something could not be done."""

NO_ROOM = 120
"""The exit code of `make` when the disk was too full for a checkout; it becomes the attempt's own."""

NO_PROCESS = 118
"""The exit code of `make` when it could not have a process, a file or memory; it becomes the attempt's own."""

NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT)
"""The system's errors when the disk, or a user's share of it, is full."""

NO_PROCESS_ERRORS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""The system's errors when there are no more processes, files or memory for now."""


class CheckoutError(Exception):
    """A failure with a text for people, in one line."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def exit_code_for(error: OSError) -> int:
    """Return the exit code that reports an error of the system."""
    if error.errno in NO_PROCESS_ERRORS:
        return NO_PROCESS
    return NO_ROOM if error.errno in NO_ROOM_ERRORS else FAILED


def reason(error: Exception) -> str:
    """Return the reason that an error gives, without Python's way of writing it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
