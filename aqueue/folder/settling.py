"""When a file in the folder is settled: nobody writes it any more, and it is as it was when it was looked at."""

import os
import stat
import time
from collections.abc import Callable
from typing import Final

import msgspec

from aqueue.folder.settled import hold_still

QUIET: Final = 1.0
"""For how long a file must not change where others may write to it unseen, in seconds."""

Signature = tuple[int, int, int, int]
_RETRIES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
_LOOKS_BEFORE_SAYING_SO: Final = 20


class Seen(msgspec.Struct, frozen=True):
    """What a file was like when it was last looked at."""

    signature: Signature
    since: float
    looks: int

    @property
    def age(self) -> float:
        """For how long it has been like that, in seconds."""
        return time.monotonic() - self.since


class Settling:
    """The files that have been looked at and not been dealt with; each may be looked at again.

    Args:
        tell: is told about a file that stays open for writing.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._seen: dict[str, Seen] = {}
        self._due: dict[str, float] = {}

    @property
    def next_look(self) -> float | None:
        """When to look again at a file, on the monotonic clock; None if there is none."""
        return min(self._due.values(), default=None)

    def due(self, now: float) -> list[str]:
        """Return the files to look at again by now."""
        return [path for path, at in self._due.items() if at <= now]

    def see(self, path: str, status: os.stat_result) -> Seen:
        """Note what a file is like at this look."""
        seen = self._seen.get(path)
        if seen is None or seen.signature != signature(status):
            seen = Seen(signature(status), time.monotonic(), 0)
        else:
            seen = Seen(seen.signature, seen.since, seen.looks + 1)
        self._seen[path] = seen
        self._due.pop(path, None)
        return seen

    def look_at(self, path: str, when: float) -> None:
        """Have a file looked at again, at a time on the monotonic clock."""
        self._due[path] = when

    def look_in(self, path: str, seconds: float) -> None:
        """Have a file looked at again after so many seconds."""
        self._due[path] = time.monotonic() + seconds

    def forget(self, path: str) -> None:
        """Forget a file that has been dealt with, or is gone."""
        self._seen.pop(path, None)
        self._due.pop(path, None)

    def is_settled(self, path: str, name: str, descriptor: int, seen: Seen) -> bool:
        """Return whether a file can be read; if not, it is looked at again.

        Where that can be known, nobody can write to it before it is closed here.

        Args:
            name: what reports call it.
            descriptor: of the file, just opened.
            seen: what it was like before that.
        """
        is_still = hold_still(descriptor)
        if is_still is None and seen.age < QUIET:
            self.look_at(path, seen.since + QUIET)
            return False
        if is_still is False:
            if seen.looks == _LOOKS_BEFORE_SAYING_SO:
                self._tell(f"{name} is still open for writing; it is taken once it is closed")
            self.look_in(path, _RETRIES[min(seen.looks, len(_RETRIES) - 1)])
            return False
        if signature(os.fstat(descriptor)) != seen.signature:
            self.look_in(path, 0.0)
            return False
        return True


def is_as_seen(path: str, seen: Seen) -> bool:
    """Return whether a file that has been moved is still what it was when it was seen, and nobody writes to it."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            # What a link led to is where it was.
            return True
        if signature(status) != seen.signature:
            return False
        if not stat.S_ISREG(status.st_mode):
            return True
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # It is gone, or cannot be read.
        return True
    try:
        return hold_still(descriptor) is not False
    finally:
        os.close(descriptor)


def signature(status: os.stat_result) -> Signature:
    """Return what is different once a file has been written, or another has taken its place."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
