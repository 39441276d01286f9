"""Locks that tell which servers are up. A server holds one while it lives; the kernel releases it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

_TOLD: Final = 512
"""The number of bytes for what a server tells."""


class ServerLock:
    """The sign that this process serves the folder, for as long as it is not released."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.id = path.name
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def announce(cls, servers: Path) -> Self:
        """Make a sign under a new id in the directory `servers`."""
        path = servers / os.urandom(8).hex()
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        presence = cls(path, descriptor)
        # There may be no room for it later.
        presence.tell("")
        return presence

    def tell(self, why: str) -> None:
        """Let others know why nothing is started here; empty if it is. That needs no room on the disk."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, why.encode(errors="replace")[:_TOLD].ljust(_TOLD, b"\0"), 0)

    def release(self) -> None:
        """Take the sign away."""
        forget(self._path.parent, self.id)
        os.close(self._descriptor)


def is_up(servers: Path, server: str) -> bool:
    """Return True if the server of this id lives; a stopped or very slow one does."""
    return is_locked(servers / server) or False


def is_locked(path: "str | os.PathLike[str]", flags: int = 0) -> bool | None:
    """Return True if a process has a lock on a file; None if there is no such file.

    Args:
        flags: how the file is opened, beside for reading.

    Raises:
        OSError: it cannot be told.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who ask at the same moment do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def told_by(servers: Path, server: str) -> str:
    """Return why a server starts nothing, as it says; empty if it does, or is gone."""
    try:
        content = (servers / server).read_bytes()
    except OSError:
        return ""
    return content.rstrip(b"\0").decode(errors="replace")


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other processes that do the same in `directory` waiting meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def forget(servers: Path, server: str) -> None:
    """Remove the sign of a server that is gone."""
    (servers / server).unlink(missing_ok=True)
