"""The lock of an attempt: held by its wrapper and by all that it starts, for as long as one of them lives.

A path, a pid and an environment can each be different for whoever looks at an attempt from elsewhere: over a bind
mount, from another pid namespace, after `env -i`. A lock of the kind that flock(2) makes belongs to an open file,
which is inherited, and lasts until the last process that has the file open has closed it or is gone.
"""

import contextlib
import errno
import fcntl
import os
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from aqueue.clock import boot
from aqueue.executors.local import procfs
from aqueue.folder import no_links
from aqueue.folder.server_locks import is_locked

_DESCRIPTOR: Final = 97
"""The number under which a wrapper has its lock open: one that shell scripts do not use for files of their own."""

_SUFFIX: Final = ".lock"
_REMOVED: Final = ".lock (deleted)"
_UNSUPPORTED: Final = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


class Origin(msgspec.Struct, frozen=True):
    """From where an attempt was started: what its pids mean, and from when on. It is kept in the lock file.

    Attributes:
        boot: of the machine.
        namespace: of the server's pids.
        ticks: since the machine was started; no process of the attempt is older.
    """

    boot: str
    namespace: str
    ticks: int


class OpenLock(NamedTuple):
    """A lock that a process holds, and hands on to what it starts.

    Attributes:
        pid: of the process.
        path: of the lock's file, as that process sees it.
        identity: of that file; None if it cannot be told.
    """

    pid: int
    path: str
    identity: procfs.Identity | None


class HeldError(Exception):
    """The lock of an attempt is held."""


def take(attempt: str) -> int | None:
    """Make and take the lock of an attempt that is about to be spawned.

    Returns:
        the descriptor to hand to the wrapper and then to close; None where the file system has no such locks.

    Raises:
        HeldError: the attempt is alive.
        OSError: the file cannot be made.
    """
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(attempt + _SUFFIX, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HeldError(attempt) from error
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _UNSUPPORTED:
            raise
        # A file that nobody can lock would say of a living attempt that it is over.
        Path(attempt + _SUFFIX).unlink(missing_ok=True)
        return None
    _tell_origin(descriptor)
    return descriptor


def rename(name: str, attempt: str) -> bool:
    """Make a lock, and whoever holds it, that of an attempt that is about to begin.

    Args:
        name: that it was taken by.

    Returns:
        False if the attempt has a lock.

    Raises:
        OSError: the lock is gone, or cannot be moved there.
    """
    if os.path.lexists(attempt + _SUFFIX):
        return False
    # It tells when the attempt began (see `attempt_files.ended_at`).
    os.utime(name + _SUFFIX)
    os.rename(name + _SUFFIX, attempt + _SUFFIX)  # noqa: PTH104 - texts
    return True


def remove(name: str) -> None:
    """Remove a lock, if it is there."""
    with contextlib.suppress(OSError):
        Path(name + _SUFFIX).unlink()


def _tell_origin(descriptor: int) -> None:
    namespace = procfs.own_namespace()
    if boot() and namespace and os.fstat(descriptor).st_size == 0:
        ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
        # On a full disk an attempt is less easily found, but it can run.
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, msgspec.json.encode(Origin(boot(), namespace, ticks)), 0)


def origin(attempt: str) -> Origin | None:
    """Return from where an attempt was started; None if that was not written down."""
    try:
        descriptor = os.open(attempt + _SUFFIX, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if no_links.is_refused(error):
            return None
        raise
    try:
        return msgspec.json.decode(os.read(descriptor, 1 << 10), type=Origin)
    except (IsADirectoryError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    finally:
        os.close(descriptor)


def inherited_descriptor() -> int:
    """Return the descriptor that a wrapper is to have its lock as."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _DESCRIPTOR if most == resource.RLIM_INFINITY else min(_DESCRIPTOR, most - 1)


def is_held(attempt: str) -> bool | None:
    """Return True if a process of the attempt is alive; None if the attempt has no lock that could tell.

    Raises:
        OSError: it cannot be told now.
    """
    try:
        return is_locked(attempt + _SUFFIX, os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in _UNSUPPORTED and not no_links.is_refused(error):
            raise
        return None


def open_locks(pid: int, files: Mapping[str, str]) -> list[OpenLock]:
    """Return the locks that a process holds, of whichever attempts.

    Args:
        files: its open files; see `procfs.open_files`.
    """
    return [
        OpenLock(pid, link, procfs.identity_of(pid, descriptor))
        for descriptor, link in files.items()
        # A server that is about to spawn an attempt, or asks for its lock, has the file open for itself alone.
        if link.endswith((_SUFFIX, _REMOVED)) and procfs.is_locked_and_inherited(pid, descriptor)
    ]


def is_among(locks: Iterable[OpenLock], attempt: str) -> bool:
    """Return True if one of the locks is that of an attempt, be its file removed or not."""
    return any(_is_of(lock, attempt) for lock in locks)


def is_holder(pid: int, attempt: str) -> bool:
    """Return True if this process can be seen to hold the lock."""
    if not procfs.sees_pids() or pid == os.getpid():
        return False
    return is_among(open_locks(pid, procfs.open_files(pid)), attempt)


def _is_of(lock: OpenLock, attempt: str) -> bool:
    if lock.path.endswith(_REMOVED):
        return procfs.is_attempt(lock.pid, lock.path.removesuffix(_REMOVED), attempt)
    try:
        status = Path(attempt + _SUFFIX).stat()
    except FileNotFoundError:
        return False
    return lock.identity == (status.st_dev, status.st_ino)
