"""Files that are symbolic links. What a task file leads to stays where it is, and a copy of it is what is claimed.

The copy is beside the place in `incoming/` before the link is renamed to there, and is then put over the link. So
there is one claim, as for any other file, and whoever finds a link in `incoming/` can finish what was begun.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from aqueue.folder.layout import printable

_LEFT_AFTER: Final = 60.0
"""Seconds after which whoever made a copy must be gone."""


def followed(path: str, status: os.stat_result) -> os.stat_result:
    """Return the status of what a path leads to, given that of the path itself; the same if it leads nowhere."""
    if stat.S_ISLNK(status.st_mode):
        with contextlib.suppress(OSError):
            return os.stat(path)
    return status


def why_no_file(path: str) -> tuple[str, str]:
    """Return what to say of a path that does not lead to a regular file, and what to do about it."""
    try:
        target = printable(os.readlink(path))
    except OSError:
        return "is not a regular file", "put a file in its place, or remove it"
    why = "is not a regular file"
    try:
        os.stat(path)
    except FileNotFoundError:
        why = "is not there"
    except OSError as error:
        why = f"cannot be reached: {error.strerror}"
    return (
        f"is a symbolic link to {target}, which {why}",
        "have it lead to a file, or put a copy of the file in its place",
    )


def move(path: str, incoming: str, descriptor: int) -> os.stat_result | None:
    """Rename a task file, or a link to one, into `incoming/`.

    Args:
        path: where it is.
        incoming: where it is to be.
        descriptor: of what was read.

    Returns:
        the status of what was moved, or of what it leads to; None if that cannot be claimed.

    Raises:
        OSError: it is gone, or there is no room for a copy of what it leads to.
    """
    copy = _copy_for(incoming)
    is_link = os.path.islink(path)
    try:
        if is_link:
            _write(copy, os.pread(descriptor, os.fstat(descriptor).st_size, 0))
        os.rename(path, incoming)
    except OSError:
        forget(incoming)
        raise
    if not os.path.islink(incoming):
        return os.lstat(incoming)
    with contextlib.suppress(OSError):
        # A relative one leads somewhere else from there.
        return os.stat(os.path.join(os.path.dirname(path), os.readlink(incoming))) if is_link else None
    return None


def finish(incoming: str) -> None:
    """Put the copy in the place of a link in `incoming/`, if there is one.

    Raises:
        OSError: there is no copy.
    """
    if os.path.islink(incoming):
        try:
            os.rename(_copy_for(incoming), incoming)
        except FileNotFoundError:
            # Another server may have done it just now.
            if os.path.islink(incoming):
                raise


def forget(incoming: str) -> None:
    """Remove the copy for a place in `incoming/`, if there is one."""
    with contextlib.suppress(OSError):
        os.unlink(_copy_for(incoming))


def is_copy(path: Path, now: float) -> bool:
    """Return True for a copy that waits in `incoming/`; one that nobody waits for any more is removed."""
    if not path.name.startswith("."):
        return False
    place = path.with_name(path.name[1:])
    if not place.is_symlink() and now - path.stat().st_ctime >= _LEFT_AFTER:
        path.unlink(missing_ok=True)
    return True


def _copy_for(incoming: str) -> str:
    directory, name = os.path.split(incoming)
    return f"{directory}/.{name}"


def _write(path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        # The link is gone then, and with it all that tells what was asked for.
        os.fsync(file.fileno())
