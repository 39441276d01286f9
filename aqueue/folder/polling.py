"""Changes found by looking once a second, where the kernel cannot be had to tell of them."""

import contextlib
import os
import time
from collections.abc import Iterable
from stat import S_ISDIR
from typing import Final

from watchfiles import Change
from watchfiles.main import FileChange

from aqueue.folder.layout import is_text

_EVERY: Final = 1.0
_TICK: Final = 20_000_000

_Stamp = tuple[int, ...] | None


class Poll:
    """Looks at files and directories, and at what is in these; it tells of the same as watchfiles does.

    Args:
        paths: to look at; what is in the sub-directories of a directory is not looked at.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = list(paths)
        self._seen = self._look()
        self.next_at = time.monotonic() + _EVERY
        """The moment of the next look, on the monotonic clock."""

    def look(self) -> set[FileChange]:
        """Return what has changed since the last look."""
        before, self._seen = self._seen, self._look()
        self.next_at = time.monotonic() + _EVERY
        changes = {(Change.deleted, path) for path in before.keys() - self._seen.keys()}
        for path, stamp in self._seen.items():
            if stamp is None or before.get(path) != stamp:
                changes.add((Change.modified if path in before else Change.added, path))
        # A directory stands for what is in it and has a name that cannot be told.
        return {
            (kind, path) if is_text(path) else (Change.modified, os.path.dirname(path)) for kind, path in changes
        }

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
