"""Task files that are symbolic links. The target stays where it is; a copy of it is claimed.

The copy is written next to its final place in `incoming/`. Then the link is renamed into `incoming/`, and the copy
replaces it. So the claim is one rename, as for any other file, and any server that finds a link in `incoming/` can
finish the claim.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from aqueue.folder.layout import printable

_LEFT_AFTER: Final = 60.0
"""Seconds after which the process that made a copy must be gone."""


def followed(path: str, status: os.stat_result) -> os.stat_result:
    """Return the status of a link's target, given the status of the path; `status` if there is no target."""
    if stat.S_ISLNK(status.st_mode):
        with contextlib.suppress(OSError):
            return os.stat(path)
    return status


def why_no_file(path: str) -> tuple[str, str]:
    """Return why a path does not lead to a regular file, and what to do."""
    try:
        target = printable(os.readlink(path))
    except OSError:
        return "is not a regular file", "replace it with a file, or remove it"
    why = "is not a regular file"
    try:
        os.stat(path)
    except FileNotFoundError:
        why = "does not exist"
    except OSError as error:
        why = f"cannot be reached: {error.strerror}"
    return (
        f"is a symbolic link to {target}, which {why}",
        "point it at a file, or replace it with a copy of the file",
    )


def move(path: str, incoming: str, descriptor: int) -> os.stat_result | None:
    """Rename a task file, or a link to one, into `incoming/`.

    Args:
        path: its current path.
        incoming: its new path.
        descriptor: of the file that was read.

    Returns:
        the status of the moved file, or of the link's target; None if it cannot be claimed.

    Raises:
        OSError: the file is gone, or there is no room for a copy of the target.
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
        # A relative target must be resolved from the link's old directory.
        return os.stat(os.path.join(os.path.dirname(path), os.readlink(incoming))) if is_link else None
    return None


def finish(incoming: str) -> None:
    """Replace a link in `incoming/` with its copy; do nothing if there is no link.

    Raises:
        OSError: there is no copy.
    """
    if os.path.islink(incoming):
        try:
            os.rename(_copy_for(incoming), incoming)
        except FileNotFoundError:
            # Another server may have just done it.
            if os.path.islink(incoming):
                raise


def forget(incoming: str) -> None:
    """Remove the copy for a path in `incoming/`, if there is one."""
    with contextlib.suppress(OSError):
        os.unlink(_copy_for(incoming))


def is_copy(path: Path, now: float) -> bool:
    """Return True if a path in `incoming/` is a copy. Remove the copy if it was left behind."""
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
        # The copy will replace the link, the only other record of what to run.
        os.fsync(file.fileno())
