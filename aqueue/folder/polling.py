"""Changes found by looking once a second, where the kernel cannot be had to tell of them."""

import contextlib
import os
import threading
import time
from stat import S_ISDIR
from typing import Final, Literal

from aqueue.folder.layout import is_text

_EVERY: Final = 1.0
_TICK: Final = 20_000_000
_ADDED, _MODIFIED, _DELETED = 1, 2, 3

_Stamp = tuple[int, ...] | None


class Poll:
    """Looks at files and directories, and at what is in these; it tells of the same as `RustNotify` does.

    Args:
        paths: to look at; what is in the sub-directories of a directory is not looked at.
    """

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._seen = self._look()
        self._look_at = time.monotonic() + _EVERY

    def watch(
        self, seconds: float, interrupted: threading.Event
    ) -> set[tuple[int, str]] | Literal["stop", "timeout"]:
        """Look until there are changes, until it is interrupted, or for so many seconds; as `RustNotify.watch`."""
        until = time.monotonic() + seconds
        while True:
            if interrupted.wait(max(min(until, self._look_at) - time.monotonic(), 0)):
                return "stop"
            if time.monotonic() >= self._look_at and (changes := self._changes()):
                return changes
            if time.monotonic() >= until:
                return "timeout"

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _changes(self) -> set[tuple[int, str]]:
        before, self._seen = self._seen, self._look()
        self._look_at = time.monotonic() + _EVERY
        changes = {(_DELETED, path) for path in before.keys() - self._seen.keys()}
        for path, stamp in self._seen.items():
            if stamp is None or before.get(path) != stamp:
                changes.add((_MODIFIED if path in before else _ADDED, path))
        # A directory stands for what is in it and has a name that cannot be told.
        return {(kind, path) if is_text(path) else (_MODIFIED, os.path.dirname(path)) for kind, path in changes}

    def _look(self) -> dict[str, _Stamp]:
        now = time.time_ns()
        found: dict[str, _Stamp] = {}
        for path in self._paths:
            # What is gone, or closed meanwhile, is not found.
            with contextlib.suppress(OSError):
                status = os.stat(path)
                if S_ISDIR(status.st_mode):
                    with os.scandir(path) as entries:
                        for entry in entries:
                            with contextlib.suppress(FileNotFoundError):
                                found[entry.path] = _stamp(entry.stat(follow_symlinks=False), now)
                found[path] = _stamp(status, now)
        return found


def _stamp(status: os.stat_result, now: int) -> _Stamp:
    """Return what tells one state of a file from another; None if it may change once more within the same tick."""
    if S_ISDIR(status.st_mode):
        # It changes with what is in it, which is somebody else's business.
        return (status.st_ino,)
    if abs(now - status.st_ctime_ns) < _TICK:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
