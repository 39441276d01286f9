"""Trials: after a run could not be started, others follow one at a time. Pure."""

import math
from typing import Final

SETTLED: Final = 0.2
"""Seconds after which a run that was started on trial has all the processes that it needs."""

FIRST_PAUSE: Final = 1.0
"""Seconds after which one more run is tried."""

LONGEST_PAUSE: Final = 60.0
"""The same after it was tried several times in vain."""


class Trials:
    """A shortage that shows only in that a run could not be started.

    As many runs as there was room for may go on, so that one follows at once when another ends; and now and then
    one more, on trial. Once that has gone well, the next follows.
    """

    def __init__(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Record that there is room for all that can be started."""
        self._proven = math.inf
        self._settles_at = math.inf
        self._try_at = -math.inf
        self._pause = 0.0
        self._is_due = False

    @property
    def are_on(self) -> bool:
        """Return True if the shortage may last."""
        return self._proven < math.inf

    def fail(self, running: int, now: float) -> None:
        """Record that a run could not be started while so many went on."""
        if now >= self._try_at:
            # Not for each of several that were started together.
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._pause else FIRST_PAUSE
            self._try_at = now + self._pause
        self._proven = min(self._proven, running)
        self._settles_at = math.inf
        self._is_due = False

    def most(self, running: int, now: float) -> float:
        """Return how many runs may go on now."""
        if now >= self._settles_at:
            self._succeed(running)
        self._is_due = now >= self._try_at
        return self._proven + 1 if self._is_due or self._settles_at < math.inf else self._proven

    def start(self, running: int, now: float) -> None:
        """Record that so many go on, now that some more may have been started."""
        if running > self._proven and self._settles_at == math.inf:
            self._settles_at = now + SETTLED

    def end(self, running: int) -> None:
        """Record that runs came to their end that had been started; `running` counts them, too."""
        if self.are_on:
            # The one on trial may be among those that are left.
            settled = running - (self._settles_at < math.inf)
            if settled > self._proven or self._proven == 0:
                self._succeed(max(settled, 1))

    def seconds_left(self, now: float) -> float:
        """Return after how many seconds more runs may go on than `most` said; infinity if no moment is known."""
        if self._settles_at < math.inf:
            return max(self._settles_at - now, 0.0)
        return max(self._try_at - now, 0.0) if self.are_on and not self._is_due else math.inf

    def _succeed(self, running: int) -> None:
        self._proven = max(self._proven, running)
        self._settles_at = math.inf
        self._pause = 0.0
        self._try_at = -math.inf
