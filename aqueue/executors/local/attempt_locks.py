"""The lock of an attempt: held by its wrapper and all of its descendants, as long as one of them lives.

Paths, pids and environments can differ from one observer to another: across a bind mount, in another pid
namespace, after `env -i`. A flock(2) lock belongs to an open file, which processes inherit, and lasts until the
last of them has closed the file or ended.
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
"""The descriptor of the lock in a wrapper; shell scripts do not use one this high for their own files."""

_SUFFIX: Final = ".lock"
_REMOVED: Final = ".lock (deleted)"
_UNSUPPORTED: Final = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


class Origin(msgspec.Struct, frozen=True):
    """The place and time of an attempt's start, which give its pids their meaning. It is kept in the lock file.

    Attributes:
        boot: the boot of the machine.
        namespace: the pid namespace of the server.
        ticks: clock ticks from boot to the start; no process of the attempt is older.
    """

    boot: str
    namespace: str
    ticks: int


class OpenLock(NamedTuple):
    """A lock that a process holds, and that its children inherit.

    Attributes:
        pid: the pid of the process.
        path: the path of the lock file, as that process sees it.
        identity: the identity of that file; None if unknown.
    """

    pid: int
    path: str
    identity: procfs.Identity | None


class HeldError(Exception):
    """The lock of an attempt is held."""


def take(attempt: str) -> int | None:
    """Create and take the lock of an attempt that is about to be spawned.

    Returns:
        the descriptor to pass to the wrapper and then close; None if the file system has no such locks.

    Raises:
        HeldError: the attempt is alive.
        OSError: the file cannot be created.
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
        # With a file that cannot be locked, a living attempt would look finished.
        Path(attempt + _SUFFIX).unlink(missing_ok=True)
        return None
    _write_origin(descriptor)
    return descriptor


def rename(name: str, attempt: str) -> bool:
    """Turn a lock, and the shell that holds it, into those of an attempt that is about to begin.

    Args:
        name: the name under which the lock was taken.

    Returns:
        False if the attempt already has a lock.

    Raises:
        OSError: the lock is gone, or cannot be renamed.
    """
    if os.path.lexists(attempt + _SUFFIX):
        return False
    # Its time marks the start of the attempt (see `attempt_files.ended_at`).
    os.utime(name + _SUFFIX)
    os.rename(name + _SUFFIX, attempt + _SUFFIX)  # noqa: PTH104 - texts
    return True


def remove(name: str) -> None:
    """Remove a lock, if it is there."""
    with contextlib.suppress(OSError):
        Path(name + _SUFFIX).unlink()


def _write_origin(descriptor: int) -> None:
    namespace = procfs.own_namespace()
    if boot() and namespace and os.fstat(descriptor).st_size == 0:
        ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
        # On a full disk the attempt is harder to find later, but it can run.
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, msgspec.json.encode(Origin(boot(), namespace, ticks)), 0)


def origin(attempt: str) -> Origin | None:
    """Return the origin of an attempt; None if it was not recorded."""
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
    """Return the descriptor that a lock has in its wrapper."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _DESCRIPTOR if most == resource.RLIM_INFINITY else min(_DESCRIPTOR, most - 1)


def is_held(attempt: str) -> bool | None:
    """Return True if a process of the attempt is alive; None if the attempt has no lock.

    Raises:
        OSError: the lock cannot be checked now.
    """
    try:
        return is_locked(attempt + _SUFFIX, os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in _UNSUPPORTED and not no_links.is_refused(error):
            raise
        return None


def open_locks(pid: int, files: Mapping[str, str]) -> list[OpenLock]:
    """Return the locks of any attempts that a process holds.

    Args:
        files: its open files; see `procfs.open_files`.
    """
    return [
        OpenLock(pid, link, procfs.identity_of(pid, descriptor))
        for descriptor, link in files.items()
        # A server that spawns an attempt, or checks its lock, opens the file without letting children inherit it.
        if link.endswith((_SUFFIX, _REMOVED)) and procfs.is_locked_and_inherited(pid, descriptor)
    ]


def is_among(locks: Iterable[OpenLock], attempt: str) -> bool:
    """Return True if one of the locks is that of an attempt, even if its file was removed."""
    return any(_is_of(lock, attempt) for lock in locks)


def is_holder(pid: int, attempt: str) -> bool:
    """Return True if a process visibly holds the lock of an attempt."""
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
