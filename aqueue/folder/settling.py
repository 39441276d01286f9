"""Files in the folder that settle: nobody writes them any more, and they no longer change."""

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
    """The state of a file when it was last looked at."""

    signature: Signature
    since: float
    looks: int

    @property
    def age(self) -> float:
        """Return for how long it has been like that, in seconds."""
        return time.monotonic() - self.since


class Known(msgspec.Struct):
    """The state of a path at which a file waits to be dealt with.

    Attributes:
        seen: what the file was like at the last look; None if it was left alone since.
        next_look: when to look again, on the monotonic clock; None: once it changes.
        stays_as: what it was like when it was left where it is.
        missing_since: when it was first found to be gone, though it may only be being saved.
        is_refused: whether the store did not take what is in it.
        told_as: what it was like when people were told that it cannot be taken.
    """

    seen: Seen | None = None
    next_look: float | None = None
    stays_as: Signature | None = None
    missing_since: float | None = None
    is_refused: bool = False
    told_as: Signature | None = None


class Settling:
    """The files that have been looked at and not been dealt with; each may be looked at again.

    Args:
        tell: is told about a file that stays open for writing.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.known: dict[str, Known] = {}
        """The state of each path."""

    @property
    def next_look(self) -> float | None:
        """Return when to look again at a file, on the monotonic clock; None if there is none."""
        looks = (known.next_look for known in self.known.values())
        return min((look for look in looks if look is not None), default=None)

    def due(self, now: float) -> list[str]:
        """Return the files to look at again by now."""
        return [
            path for path, known in self.known.items() if known.next_look is not None and known.next_look <= now
        ]

    def of(self, path: str) -> Known:
        """Return what is known of a path, to be changed."""
        return self.known.setdefault(path, Known())

    def see(self, path: str, status: os.stat_result) -> Seen:
        """Note what a file is like at this look."""
        known, now_as = self.of(path), signature(status)
        seen = known.seen
        if seen is None or seen.signature != now_as:
            seen = Seen(now_as, time.monotonic(), 0)
        else:
            seen = Seen(now_as, seen.since, seen.looks + 1)
        known.seen, known.next_look, known.missing_since = seen, None, None
        return seen

    def look_at(self, path: str, when: float) -> None:
        """Have a file looked at again, at a time on the monotonic clock."""
        self.of(path).next_look = when

    def look_in(self, path: str, seconds: float) -> None:
        """Have a file looked at again after so many seconds."""
        self.look_at(path, time.monotonic() + seconds)

    def stay(self, path: str, signature: Signature) -> None:
        """Leave a file where it is; it is not looked at again before it changes."""
        known = self.of(path)
        known.seen, known.next_look, known.stays_as = None, None, signature

    def leave(self, path: str) -> None:
        """Begin anew with a file at its next look; what people were told of it they are not told again."""
        if known := self.known.get(path):
            known.seen, known.next_look, known.stays_as = None, None, None
            if known == Known():
                del self.known[path]

    def forget(self, path: str) -> None:
        """Forget a file that has been dealt with, or is gone."""
        self.known.pop(path, None)

    def is_settled(self, path: str, name: str, descriptor: int, seen: Seen) -> bool:
        """Return True if a file can be read; if not, it is looked at again.

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
    """Return True if a file that has been moved is as it was when it was seen, and nobody writes to it."""
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
