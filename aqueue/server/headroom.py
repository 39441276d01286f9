"""Headroom for starting runs: reported by the executor, or learnt from starts that fail."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from aqueue.clock import Clock
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End, Outcome
from aqueue.policy.trials import Trials

DISK_FULL_PAUSE: Final = 1.0
"""Seconds between two checks of a full disk."""

_AGAIN: Final = "there is room again: runs start again"


class Headroom:
    """The resources for starting runs; reports when they run out and when they are back.

    Args:
        shortage: returns why no run can be started now; empty if one can.
        publish: receives why no run is started, for commands that ask; empty once runs start again.
    """

    def __init__(
        self,
        shortage: Callable[[], str],
        clock: Clock,
        report: Report,
        publish: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._shortage = shortage
        self._clock = clock
        self._report = report
        self._is_short = False
        self._trials = Trials()
        self._short_until = -math.inf
        self._publish = publish
        self._published = ""

    def has_room(self) -> bool:
        """Return True if there is room to start a run."""
        if self._clock.monotonic() < self._short_until:
            return False
        if why := self._shortage():
            self.report_shortage(why)
        else:
            self.record_room()
        return not self._is_short

    def report_shortage(self, why: str) -> None:
        """Record and report a shortage: no run is started for a while."""
        self._short_until = self._clock.monotonic() + DISK_FULL_PAUSE
        self._publish_change(why)
        if not self._is_short:
            self._is_short = True
            self._report(Notice(f"{why}: nothing is started until there is room", urgent=True))

    def record_outcomes(self, outcomes: Sequence[Outcome], running: int) -> None:
        """Learn from outcomes how many runs there is room for.

        Args:
            running: the number of active attempts.
        """
        # The cause may be a quota, which the checks do not see: only another start shows when it is over.
        failures = [one.why for one in outcomes if one.end is End.NEVER_STARTED and one.why]
        began = sum(one.end is not End.NEVER_STARTED for one in outcomes)
        if failures:
            self.start_failed(failures[0], running + began)
        elif began:
            self.runs_ended(running + began)

    def start_failed(self, why: str, running: int) -> None:
        """Record that a run could not be started; only another start shows when that is over."""
        if not self._trials.is_active:
            self._report(Notice(f"{why}: no more runs are started until there is room", urgent=True))
        self._trials.fail(running, self._clock.monotonic())
        self._publish_change(why)

    def runs_ended(self, running: int) -> None:
        """Record that started runs have ended; `running` includes them."""
        self._trials.end(running)

    def max_runs(self, running: int) -> float:
        """Return the number of runs there is room for."""
        return self._trials.max_runs(running, self._clock.monotonic())

    def runs_started(self, running: int, limit: float) -> None:
        """Record how many runs go on after a cycle that was allowed `limit`."""
        if running >= limit:
            self._trials.start(running, self._clock.monotonic())
        elif self._trials.is_active:
            self._trials.stop()
            self._report(Notice(_AGAIN))

    def seconds_left(self) -> float:
        """Return the seconds until one more run may be tried; infinity if none is to be."""
        return self._trials.seconds_left(self._clock.monotonic())

    def record_room(self) -> None:
        """Record that there is room."""
        if self._is_short:
            self._is_short = False
            self._report(Notice(_AGAIN))

    def block(self, why: str) -> None:
        """Publish another reason why no run can be started, although there is room."""
        self._publish_change(why)

    def unblock(self) -> None:
        """Record that the other reason is gone."""
        if not self._is_short and not self._trials.is_active:
            self._publish_change("")

    def _publish_change(self, why: str) -> None:
        if why != self._published:
            self._published = why
            self._publish(why)
