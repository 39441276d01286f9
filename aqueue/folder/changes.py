"""Three sources of changes to files and directories: inotify, a watchfiles thread, and polling once a second.

On Linux, an idle folder costs nothing: an inotify descriptor in the event loop wakes us, and only then do we ask
watchfiles what changed. watchfiles can miss a change that arrives while it answers. So once events stop, we report
that anything may have changed.
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
"""Seconds without an event after which no more are expected."""

_ASK_AGAIN: Final = (0.02, 0.01, 0.004, 0.001)
"""Pauses before watchfiles is asked again, last first, in seconds, if it had no change after an event."""

_STEP: Final = 10
"""Milliseconds between two checks in the thread. A check that finds nothing new ends a batch of changes."""


class Changes(Protocol):
    """A source of changes."""

    async def next(self) -> set[FileChange] | None:
        """Wait for changes and return them; None if anything may have changed.

        Raises:
            OSError: watching has failed, for instance on a name that is not UTF-8, or a path is gone.
        """

    def close(self) -> None:
        """Release system resources."""


class InotifyChanges:
    """Changes from watchfiles, which is asked after each inotify event.

    Raises:
        OSError: as for `Doorbell` and `Watcher`.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        # First, so that no change is missed before watchfiles starts.
        self._bell = Doorbell(paths)
        self._pauses: tuple[float, ...] = ()
        self._next_at = time.monotonic() + _QUIET
        try:
            # Without delay: watchfiles checks twice in a row and gives up after a millisecond.
            self._watcher = Watcher(paths, step=0, timeout=1)
        except OSError:
            self._bell.close()
            raise

    async def next(self) -> set[FileChange] | None:
        """Wait for an event; after an event, also return None once no more follow."""
        while True:
            with anyio.move_on_after(max(self._next_at - time.monotonic(), 0)) as pause:
                await anyio.wait_readable(self._bell)
            if not pause.cancelled_caught:
                if self._bell.clear():
                    raise FileNotFoundError("a watched path is gone")
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
        """Schedule these pauses, last first."""
        self._pauses, pause = pauses[:-1], pauses[-1]
        self._next_at = time.monotonic() + pause

    def close(self) -> None:
        """Close both inotify instances."""
        self._bell.close()
        self._watcher.close()


class ThreadedChanges:
    """Changes from watchfiles, which runs in a worker thread all the time.

    Raises:
        OSError: as for `Watcher`.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._watcher = Watcher(paths, step=_STEP, timeout=2 * _STEP)

    async def next(self) -> set[FileChange] | None:
        """Wait for a change. A cancelled wait ends after at most two more checks."""
        while True:
            if found := await in_thread(self._watcher.ask):
                return found

    def close(self) -> None:
        """Stop watching."""
        self._watcher.close()


class PolledChanges:
    """Changes found by polling once a second."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._poll = Poll(paths)

    async def next(self) -> set[FileChange] | None:
        """Wait until a check finds a change."""
        while True:
            await anyio.sleep(max(self._poll.next_check - time.monotonic(), 0))
            # Not in a thread: we may be polling because no thread can be started.
            if found := self._poll.check():
                return found

    def close(self) -> None:
        """Do nothing: polling holds no resources."""
