"""Files in the folder that have yet to settle: until they stop changing and nobody has them open for writing."""

import os
import stat
import time
from collections.abc import Callable
from typing import Final

import msgspec

from aqueue.folder.settled import take_lease

QUIET_SECONDS: Final = 1.0
"""Seconds without a change after which a file counts as settled, where writers cannot be seen."""

Signature = tuple[int, int, int, int]
_RETRIES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
_CHECKS_BEFORE_REPORT: Final = 20


class Seen(msgspec.Struct, frozen=True):
    """The state of a file at its last check."""

    signature: Signature
    since: float
    checks: int

    @property
    def age(self) -> float:
        """Return for how many seconds the file has been unchanged."""
        return time.monotonic() - self.since


class PathState(msgspec.Struct):
    """The state of a path whose file has not been claimed or rejected.

    Attributes:
        seen: the file at its last check; None if its state was reset since.
        next_check: when to check again, on the monotonic clock; None: when it changes.
        stays_as: its signature when it was left in place.
        missing_since: when it was first missing, perhaps only because an editor is saving it.
        refused_since: when the store first refused its content; None if it did not.
        reported_as: its signature when we reported that it cannot be taken.
    """

    seen: Seen | None = None
    next_check: float | None = None
    stays_as: Signature | None = None
    missing_since: float | None = None
    refused_since: float | None = None
    reported_as: Signature | None = None


class Settling:
    """The files that were checked but not yet claimed or rejected.

    Args:
        report: is called about a file that stays open for writing.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self.states: dict[str, PathState] = {}
        """The state of each path."""

    @property
    def next_check(self) -> float | None:
        """Return when to check a file again, on the monotonic clock; None if no check is pending."""
        checks = (state.next_check for state in self.states.values())
        return min((check for check in checks if check is not None), default=None)

    def to_recheck(self, now: float) -> list[str]:
        """Return the files whose next check is due."""
        return [
            path for path, state in self.states.items() if state.next_check is not None and state.next_check <= now
        ]

    def state_of(self, path: str) -> PathState:
        """Return the state of a path, which the caller may change."""
        return self.states.setdefault(path, PathState())

    def see(self, path: str, status: os.stat_result) -> Seen:
        """Record the status of a file at this check."""
        state, now_as = self.state_of(path), signature(status)
        seen = state.seen
        if seen is None or seen.signature != now_as:
            seen = Seen(now_as, time.monotonic(), 0)
        else:
            seen = Seen(now_as, seen.since, seen.checks + 1)
        state.seen, state.next_check, state.missing_since = seen, None, None
        return seen

    def recheck_at(self, path: str, when: float) -> None:
        """Schedule the next check of a file for a time on the monotonic clock."""
        self.state_of(path).next_check = when

    def recheck_in(self, path: str, seconds: float) -> None:
        """Schedule the next check of a file."""
        self.recheck_at(path, time.monotonic() + seconds)

    def stay(self, path: str, signature: Signature) -> None:
        """Leave a file in place, and do not check it again until it changes."""
        state = self.state_of(path)
        state.seen, state.next_check, state.stays_as = None, None, signature

    def reset(self, path: str) -> None:
        """Reset what is known of a file, except what was reported, so that nothing is reported twice."""
        if state := self.states.get(path):
            state.seen, state.next_check, state.stays_as = None, None, None
            if state == PathState():
                del self.states[path]

    def forget(self, path: str) -> None:
        """Forget a file that was claimed or rejected, or is gone."""
        self.states.pop(path, None)

    def is_settled(self, path: str, name: str, descriptor: int, seen: Seen) -> bool:
        """Return True if a file is ready to be read; if not, schedule another check.

        Where leases work, nobody can write to the file until the descriptor is closed.

        Args:
            name: its name in reports.
            descriptor: of the file, just opened.
            seen: its state before it was opened.
        """
        is_still = take_lease(descriptor)
        if is_still is None and seen.age < QUIET_SECONDS:
            self.recheck_at(path, seen.since + QUIET_SECONDS)
            return False
        if is_still is False:
            if seen.checks == _CHECKS_BEFORE_REPORT:
                self._report(f"{name} is still open for writing; it is taken once it is closed")
            self.recheck_in(path, _RETRIES[min(seen.checks, len(_RETRIES) - 1)])
            return False
        if signature(os.fstat(descriptor)) != seen.signature:
            self.recheck_in(path, 0.0)
            return False
        return True


def is_as_seen(path: str, seen: Seen) -> bool:
    """Return True if a moved file is unchanged since it was seen, and nobody writes to it."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            # The link's target has not moved.
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
        return take_lease(descriptor) is not False
    finally:
        os.close(descriptor)


def signature(status: os.stat_result) -> Signature:
    """Return a signature that differs after the file is written or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
