"""Three ways to learn what has changed: when the kernel rings, from a thread, and by looking once a second.

Whatever happens to a few files, or in a few directories, is told; where that could not be known, all is said to
have changed. On Linux nothing goes on while nothing changes: an inotify descriptor in the event loop is the
doorbell, and watchfiles is asked what is there once it has rung. As both hear of a change at the same moment, and
watchfiles can forget one that comes while it answers, all is said to have changed once it is quiet again.
"""

import math
import time
from collections.abc import Iterable
from typing import Final, Protocol

import anyio
from watchfiles.main import FileChange

from aqueue.folder.doorbell import Doorbell
from aqueue.folder.polling import Poll
from aqueue.folder.watcher import Watcher
from aqueue.threads import in_thread

_QUIET: Final = 0.05
"""Seconds without a ring after which there is none on its way."""

_ASK_AGAIN: Final = (0.02, 0.01, 0.004, 0.001)
"""Seconds after which watchfiles is asked once more, last first, if it knew nothing of a ring."""

_STEP: Final = 10
"""Milliseconds between two looks of a thread; a change is told at the second look that shows no other."""


class Changes(Protocol):
    """A way to learn what has changed."""

    async def next(self) -> set[FileChange] | None:
        """Wait for changes, and return them; None if anything may have changed.

        Raises:
            OSError: it can tell no more, for instance of a name that is not UTF-8.
        """

    def close(self) -> None:
        """Give back what it has of the system."""


class RungChanges:
    """Changes as watchfiles tells of them, which is asked when the kernel rings.

    Raises:
        OSError: as `Doorbell` and `Watcher` do.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        # First, so that it rings for what happens before watchfiles is there.
        self._bell = Doorbell(paths)
        self._pauses: tuple[float, ...] = ()
        self._next_at = time.monotonic() + _QUIET
        try:
            # At once: watchfiles looks twice, without a pause, and gives up after a millisecond.
            self._watcher = Watcher(paths, step=0, timeout=1)
        except OSError:
            self._bell.close()
            raise

    async def next(self) -> set[FileChange] | None:
        """Wait until it rings; or until it has been quiet for a while, if it has rung before."""
        while True:
            with anyio.move_on_after(max(self._next_at - time.monotonic(), 0)) as pause:
                await anyio.wait_readable(self._bell)
            if not pause.cancelled_caught:
                self._bell.quieten()
                self._wait_for(_QUIET, *_ASK_AGAIN)
            elif self._pauses:
                self._wait_for(*self._pauses)
            else:
                self._next_at = math.inf
                return None
            if found := self._watcher.ask():
                self._wait_for(_QUIET)
                return found

    def _wait_for(self, *pauses: float) -> None:
        """Wait for the last of these pauses, and then for those before it."""
        self._pauses, pause = pauses[:-1], pauses[-1]
        self._next_at = time.monotonic() + pause

    def close(self) -> None:
        """Give back both inotify instances."""
        self._bell.close()
        self._watcher.close()


class SteppedChanges:
    """Changes as watchfiles tells of them, which a worker thread looks for all the time.

    Raises:
        OSError: as `Watcher` does.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._watcher = Watcher(paths, step=_STEP, timeout=2 * _STEP)

    async def next(self) -> set[FileChange] | None:
        """Wait for a change. Cancelled, it takes two more steps."""
        while True:
            if found := await in_thread(self._watcher.ask):
                return found

    def close(self) -> None:
        """Stop watching."""
        self._watcher.close()


class PolledChanges:
    """Changes found by looking once a second."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._poll = Poll(paths)

    async def next(self) -> set[FileChange] | None:
        """Wait for a look that shows a change."""
        while True:
            await anyio.sleep(max(self._poll.next_at - time.monotonic(), 0))
            # Not in a thread: that there is none to be had may be why it looks.
            if found := self._poll.look():
                return found

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
