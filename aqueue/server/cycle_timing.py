"""The time of the next cycle if no event comes before."""

import math
from collections.abc import Callable
from typing import Final

from aqueue.server.cycle_result import CycleResult
from aqueue.store.queues import Outlook

_CODE_SECONDS: Final = 0.25
"""Seconds between checks of other schedules while the code of one is being kept."""


class CycleTiming:
    """The wall-clock times at which a cycle is due, according to the last one.

    Args:
        now: returns the time, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._schedules_at = 0.0
        self._stale_at = math.inf
        self._ready_at = math.inf
        self.has_other_servers = False
        """True if other servers serve the folder too."""

    def schedules_are_due(self, now: float) -> bool:
        """Return True if schedules are due according to the last cycle."""
        return self._schedules_at <= now

    def follow(self, result: CycleResult, *, makes_runs: bool, keeps_code: bool) -> None:
        """Update the times from the result of a cycle.

        Args:
            makes_runs: whether due schedules become runs.
            keeps_code: whether the code of a due schedule is being kept.
        """
        outlook = result.outlook
        self.has_other_servers = outlook.servers > 1
        if result.liveness is not None:
            self._stale_at = result.liveness.stale_at
        self._ready_at = math.inf if outlook.next_ready is None else outlook.next_ready
        self._schedules_at = _schedules_at(outlook) if makes_runs else math.inf
        if keeps_code:
            # Until its code is kept, the schedule stays due; a cycle is requested once it is.
            self._schedules_at = max(self._schedules_at, self._now() + _CODE_SECONDS)

    def seconds_left(self, *, includes_stale_servers: bool) -> float:
        """Return the seconds until the next cycle is due; infinity if time alone brings none.

        Args:
            includes_stale_servers: whether a cycle is due when another server becomes stale.
        """
        moment = min(self._schedules_at, self._ready_at)
        if self.has_other_servers and includes_stale_servers:
            moment = min(moment, self._stale_at)
        return max(0.0, moment - self._now())


def _schedules_at(outlook: Outlook) -> float:
    if outlook.has_missed:
        return 0.0
    return math.inf if outlook.next_due is None else outlook.next_due
