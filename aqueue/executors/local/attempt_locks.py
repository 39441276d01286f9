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
from collections.abc import Iterator
from pathlib import Path
from typing import Final

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
_NOT_SEEN: Final = (FileNotFoundError, ProcessLookupError, PermissionError)


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


def holders(attempt: str) -> list[int]:
    """Return the pids of those that can be seen to hold the lock, be its file removed or not, in no order."""
    if not procfs.sees_pids():
        return []
    identity = _own_identity(attempt)
    return [pid for pid in procfs.all_pids() if pid != os.getpid() and _holds(pid, attempt, identity)]


def is_holder(pid: int, attempt: str) -> bool:
    """Return True if this process can be seen to hold the lock."""
    return procfs.sees_pids() and pid != os.getpid() and _holds(pid, attempt, _own_identity(attempt))


def _own_identity(attempt: str) -> tuple[int, int] | None:
    try:
        return _identity(attempt + _SUFFIX)
    except FileNotFoundError:
        return None


def _holds(pid: int, attempt: str, identity: tuple[int, int] | None) -> bool:
    return any(
        _is_lock(pid, descriptor, attempt, identity) and _is_inherited(pid, descriptor)
        for descriptor in _descriptors(pid)
    )


def _descriptors(pid: int) -> Iterator[str]:
    try:
        yield from os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - names only
    except _NOT_SEEN:
        return


def _is_lock(pid: int, descriptor: str, attempt: str, identity: tuple[int, int] | None) -> bool:
    path = f"/proc/{pid}/fd/{descriptor}"
    try:
        # To ask a file itself may take long where it is on a network; the link is enough to pass most by.
        link = str(Path(path).readlink())
        if link.endswith(_REMOVED):
            return procfs.is_attempt(pid, link.removesuffix(_REMOVED), attempt)
        return link.endswith(_SUFFIX) and _identity(path) == identity
    except _NOT_SEEN:
        return False


def _is_inherited(pid: int, descriptor: str) -> bool:
    """Return True if the file is open with the lock on it, and stays open in what the process starts.

    A server that is about to spawn an attempt, or asks for its lock, has the file open as well, but for itself.
    """
    try:
        text = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
    except _NOT_SEEN:
        return False
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return "FLOCK" in fields.get("lock", "") and not int(fields.get("flags", "0"), 8) & os.O_CLOEXEC


def _identity(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_dev, status.st_ino
