"""Locks that show which servers are up. A server holds its lock while it lives; the kernel releases it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final, Self

_SHORTAGE_BYTES: "Final" = 512
"""The size of the message a server publishes, in bytes."""


class ServerLock:
    """The lock of a server on this folder, held until released."""

    def __init__(self, path: "Path", descriptor: int) -> None:
        self.id = path.name
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def announce(cls, servers: "Path") -> "Self":
        """Create and take a lock under a new id in the directory `servers`."""
        path = servers / os.urandom(8).hex()
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        lock = cls(path, descriptor)
        # Reserve the space now: the disk may be full later.
        lock.publish_shortage("")
        return lock

    def publish_shortage(self, why: str) -> None:
        """Publish why this server starts nothing; empty if it does. Needs no further disk space."""
        with contextlib.suppress(OSError):
            os.pwrite(
                self._descriptor, why.encode(errors="replace")[:_SHORTAGE_BYTES].ljust(_SHORTAGE_BYTES, b"\0"), 0
            )

    def release(self) -> None:
        """Remove and release the lock."""
        forget(self._path.parent, self.id)
        os.close(self._descriptor)


def is_up(servers: "str | os.PathLike[str]", server: str) -> bool:
    """Return True if the server with this id lives, even if it is suspended or very slow."""
    return is_locked(os.path.join(servers, server)) or False


def is_locked(path: "str | os.PathLike[str]", flags: int = 0) -> bool | None:
    """Return True if a process holds a lock on a file; None if there is no such file.

    Args:
        flags: further flags for opening the file.

    Raises:
        OSError: the file cannot be opened or checked.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two concurrent checks do not mistake each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def shortage_of(servers: "Path", server: str) -> str:
    """Return the reason a server has published for starting nothing; empty if there is none."""
    try:
        content = (servers / server).read_bytes()
    except OSError:
        return ""
    return content.rstrip(b"\0").decode(errors="replace")


@contextlib.contextmanager
def exclusive(directory: "Path") -> Iterator[None]:
    """Hold an exclusive lock on `directory`. Other processes wait for it here."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def forget(servers: "Path", server: str) -> None:
    """Remove the lock file of a server that is gone."""
    (servers / server).unlink(missing_ok=True)
