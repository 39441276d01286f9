"""Trials: after a failed start, runs start one at a time. Pure."""

import math
from typing import Final

TRIAL_SECONDS: Final = 0.2
"""Seconds after which a trial has succeeded: the run has all the processes it needs."""

FIRST_PAUSE: Final = 1.0
"""Seconds before the first trial."""

LONGEST_PAUSE: Final = 60.0
"""The longest pause in seconds between trials, reached after several failures."""


class Trials:
    """A shortage that shows only when a run cannot be started.

    The proven number of runs may go on: when one ends, another starts at once. Now and then one more starts on
    trial. If it succeeds, the next trial follows at once.
    """

    def __init__(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Record that the shortage is over."""
        self._proven = math.inf
        self._trial_ends_at = math.inf
        self._try_at = -math.inf
        self._pause = 0.0
        self._is_due = False

    @property
    def is_active(self) -> bool:
        """Return True if the shortage may last."""
        return self._proven < math.inf

    def fail(self, running: int, now: float) -> None:
        """Record that a run could not be started while `running` others ran."""
        if now >= self._try_at:
            # Only once for several runs that were started together.
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._pause else FIRST_PAUSE
            self._try_at = now + self._pause
        self._proven = min(self._proven, running)
        self._trial_ends_at = math.inf
        self._is_due = False

    def max_runs(self, running: int, now: float) -> float:
        """Return the number of runs that may run now."""
        if now >= self._trial_ends_at:
            self._succeed(running)
        self._is_due = now >= self._try_at
        return self._proven + 1 if self._is_due or self._trial_ends_at < math.inf else self._proven

    def start(self, running: int, now: float) -> None:
        """Record the number of running runs after new ones may have started."""
        if running > self._proven and self._trial_ends_at == math.inf:
            self._trial_ends_at = now + TRIAL_SECONDS

    def end(self, running: int) -> None:
        """Record that started runs have ended; `running` includes them."""
        if self.is_active:
            # The run on trial may be one of those still running.
            proven = running - (self._trial_ends_at < math.inf)
            if proven > self._proven or self._proven == 0:
                self._succeed(max(proven, 1))

    def seconds_left(self, now: float) -> float:
        """Return the seconds until `max_runs` may grow; infinity if unknown."""
        if self._trial_ends_at < math.inf:
            return max(self._trial_ends_at - now, 0.0)
        return max(self._try_at - now, 0.0) if self.is_active and not self._is_due else math.inf

    def _succeed(self, running: int) -> None:
        self._proven = max(self._proven, running)
        self._trial_ends_at = math.inf
        self._pause = 0.0
        self._try_at = -math.inf
