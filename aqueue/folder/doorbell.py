"""The kernel's word that something has changed, as a descriptor to wait for; on Linux only."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable
from typing import Final

# From <sys/inotify.h>: what watchfiles tells of, too.
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x02, 0x04, 0x08
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
_EVENTS: Final = (
    _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)
_AT_ONCE: Final = 1 << 16


class Doorbell:
    """An inotify instance that says that something has changed, but not what.

    Args:
        paths: files, and directories whose entries count, too.

    Raises:
        FileNotFoundError, PermissionError: one of the paths is gone, or closed.
        OSError: the kernel has no instance or no watch left, or no inotify at all.
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
        """Return the descriptor, which is readable once something has changed."""
        return self._descriptor

    def quieten(self) -> None:
        """Take note that it has rung, so that only a later change makes it ring again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, _AT_ONCE)

    def close(self) -> None:
        """Give the instance back; more than once does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


def _checked(result: int, about: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about)
    return result
