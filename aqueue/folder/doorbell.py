"""An inotify descriptor to wait on. Linux only."""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import Final

# From <sys/inotify.h>: the same events that watchfiles reports.
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x02, 0x04, 0x08
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
_EVENTS: Final = (
    _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)
_UNMOUNT, _OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_LOST: Final = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _OVERFLOW | _IGNORED
_HEADER: Final = struct.Struct("iIII")
"""The fields of an event before its name: watch, mask, cookie, and the length of the name."""
_AT_ONCE: Final = 1 << 16


class Doorbell:
    """An inotify instance that signals a change, but not which.

    Args:
        paths: files, and directories to watch together with their entries.

    Raises:
        FileNotFoundError, PermissionError: a path is gone or may not be read.
        OSError: no inotify instance or watch is left, or the system has no inotify.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        if sys.platform != "linux":
            raise OSError("there is no inotify")
        system = ctypes.CDLL(None, use_errno=True)
        self._descriptor = _checked(system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify instance")
        try:
            for path in paths:
                _checked(system.inotify_add_watch(self._descriptor, os.fsencode(path), _EVENTS), path)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor. It becomes readable when something changes."""
        return self._descriptor

    def clear(self) -> bool:
        """Discard pending events, so that the descriptor becomes readable only for a later change.

        Returns:
            True if a path is no longer watched: it was removed, even if it is there again, or renamed.
        """
        with contextlib.suppress(BlockingIOError):
            return any(mask & _LOST for mask in _masks(os.read(self._descriptor, _AT_ONCE)))
        return False

    def close(self) -> None:
        """Close the instance. Calling it again is safe."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


def _masks(events: bytes) -> Iterator[int]:
    at = 0
    while at < len(events):
        _, mask, _, length = _HEADER.unpack_from(events, at)
        yield mask
        at += _HEADER.size + length


def _checked(result: int, about: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about)
    return result
