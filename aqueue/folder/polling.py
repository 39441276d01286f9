"""Changes found by polling once a second, for systems where the kernel does not report them."""

import contextlib
import os
import time
from collections.abc import Iterable
from stat import S_ISDIR
from typing import Final

from watchfiles import Change
from watchfiles.main import FileChange

from aqueue.folder.layout import is_text

_INTERVAL: Final = 1.0
_TICK: Final = 20_000_000

_Stamp = tuple[int, ...] | None


class Poll:
    """A poll of files and directories, which reports the same changes as watchfiles.

    Args:
        paths: files, and directories to check together with their entries, not recursively.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = list(paths)
        self._seen = self._scan()
        self.next_check = time.monotonic() + _INTERVAL
        """The time of the next check, on the monotonic clock."""

    def check(self) -> set[FileChange]:
        """Return the changes since the last check."""
        before, self._seen = self._seen, self._scan()
        self.next_check = time.monotonic() + _INTERVAL
        changes = {(Change.deleted, path) for path in before.keys() - self._seen.keys()}
        for path, stamp in self._seen.items():
            if stamp is None or before.get(path) != stamp:
                changes.add((Change.modified if path in before else Change.added, path))
        # A name that is not UTF-8 cannot be reported, so report its directory.
        return {
            (kind, path) if is_text(path) else (Change.modified, os.path.dirname(path)) for kind, path in changes
        }

    def _scan(self) -> dict[str, _Stamp]:
        now = time.time_ns()
        found: dict[str, _Stamp] = {}
        for path in self._paths:
            # The path may be gone, or unreadable by now.
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
    """Return a stamp that differs when a file has changed; None if it may change again within the same tick."""
    if S_ISDIR(status.st_mode):
        # Its times change with its entries, which are checked on their own.
        return (status.st_ino,)
    if abs(now - status.st_ctime_ns) < _TICK:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
