"""When the next cycle is due, if nothing happens before."""

import math
from collections.abc import Callable
from typing import Final

from aqueue.server.cycle_result import CycleResult
from aqueue.store.queues import Outlook

_CODE_SECONDS: Final = 0.25
"""Seconds after which other schedules have their turn while code is being kept."""


class CycleTiming:
    """The moments at which a cycle is due by what the last one found; all on the wall clock.

    Args:
        now: returns the time, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._schedules_at = 0.0
        self._stale_at = math.inf
        self._ready_at = math.inf
        self.has_company = False
        """True if other servers serve the folder, too."""

    def schedules_are_due(self, now: float) -> bool:
        """Return True if schedules are due, as far as the last cycle knew."""
        return self._schedules_at <= now

    def follow(self, result: CycleResult, *, makes_runs: bool, keeps_code: bool) -> None:
        """Take up what a cycle found.

        Args:
            makes_runs: due schedules become runs.
            keeps_code: the code of some that are due is being kept.
        """
        outlook = result.outlook
        self.has_company = outlook.servers > 1
        if result.liveness is not None:
            self._stale_at = result.liveness.stale_at
        self._ready_at = math.inf if outlook.next_ready is None else outlook.next_ready
        self._schedules_at = _schedules_at(outlook) if makes_runs else math.inf
        if keeps_code:
            # A schedule that waits for it is due all the time; a cycle is requested once the code is there.
            self._schedules_at = max(self._schedules_at, self._now() + _CODE_SECONDS)

    def seconds_left(self, *, watches_others: bool) -> float:
        """Return the seconds until the next cycle is due; infinity if time alone brings none.

        Args:
            watches_others: it is due, too, when another server becomes stale.
        """
        moment = min(self._schedules_at, self._ready_at)
        if self.has_company and watches_others:
            moment = min(moment, self._stale_at)
        return max(0.0, moment - self._now())


def _schedules_at(outlook: Outlook) -> float:
    if outlook.has_missed:
        return 0.0
    return math.inf if outlook.next_due is None else outlook.next_due
