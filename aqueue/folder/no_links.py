"""Opening files below `.aqueue` without following links that a command may have put there."""

import contextlib
import errno
import os


def opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=opener)`. Raise `ELOOP` if it, or its directory, is a link."""
    if os.path.islink(os.path.dirname(path)):  # noqa: PTH114, PTH120 - a text already
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def make_directory(path: str) -> None:
    """Create a directory for this user alone if it is missing. Remove a link in its place."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102 - a text already
    except FileExistsError:
        if remove(path):
            os.mkdir(path, 0o700)  # noqa: PTH102 - a text already


def remove(path: str) -> bool:
    """Remove the path if it is a link, and return True if so. Its target is not touched."""
    if not os.path.islink(path):  # noqa: PTH114 - a text already, for each run
        return False
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a text already
    return True


def is_refused(error: OSError) -> bool:
    """Return True if the error says that a file was not opened because it is a link."""
    return error.errno == errno.ELOOP
