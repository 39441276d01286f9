"""Headroom for starting runs: as the executor says, and as a start shows."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from aqueue.clock import Clock
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End, Outcome
from aqueue.policy.trials import Trials

DISK_FULL_PAUSE: Final = 1.0
"""Seconds after which a full disk is looked at again."""

_AGAIN: Final = "there is room again: runs are started"

_CHECK_SECONDS = 0.1


class Headroom:
    """Knows whether runs can be started, and says so when that changes.

    Args:
        shortage: says why nothing can be started now; empty if something can.
        tell: is told why nothing is started, for those who ask; empty once something is again.
    """

    def __init__(
        self,
        shortage: Callable[[], str],
        clock: Clock,
        report: Report,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._shortage = shortage
        self._clock = clock
        self._report = report
        self._is_short = False
        self._trials = Trials()
        self._check_at = -math.inf
        self._tell = tell
        self._told = ""

    def has_room(self) -> bool:
        """Return True if there is room for a run to be started; it is asked for now and then."""
        now = self._clock.monotonic()
        if now < self._check_at:
            return not self._is_short
        self._check_at = now + _CHECK_SECONDS
        if why := self._shortage():
            self.is_short(why)
        else:
            self.is_there()
        return not self._is_short

    def is_short(self, why: str) -> None:
        """Take note that there was no room for something; nothing is started for a while."""
        self._check_at = self._clock.monotonic() + DISK_FULL_PAUSE
        self._let_know(why)
        if not self._is_short:
            self._is_short = True
            self._report(Notice(f"{why}: nothing is started until there is room", urgent=True))

    def look_back(self, outcomes: Sequence[Outcome], running: int) -> None:
        """Learn from the ends of attempts how many there is room for, beside so many that go on."""
        # A quota, perhaps, of which the disk knows nothing: there is no telling when it is over.
        missed = [one.why for one in outcomes if one.end is End.NEVER_STARTED and one.why]
        began = sum(one.end is not End.NEVER_STARTED for one in outcomes)
        if missed:
            self.is_missed(missed[0], running + began)
        elif began:
            self.have_ended(running + began)

    def is_missed(self, why: str, running: int) -> None:
        """Take note that a run could not be started; whether that is over shows only when one is tried again."""
        if not self._trials.are_on:
            self._report(Notice(f"{why}: no more is started until there is room", urgent=True))
        self._trials.fail(running, self._clock.monotonic())
        self._let_know(why)

    def have_ended(self, running: int) -> None:
        """Take note that runs that had been started are over; `running` counts them, too."""
        self._trials.end(running)

    def most_runs(self, running: int) -> float:
        """Return how many runs may go on, as far as there is room for them."""
        return self._trials.most(running, self._clock.monotonic())

    def has_started(self, running: int, most: float) -> None:
        """Take note that all was started that could be, and what that comes to; there might have been `most`."""
        if running >= most:
            self._trials.start(running, self._clock.monotonic())
        elif self._trials.are_on:
            self._trials.stop()
            self._report(Notice(_AGAIN))

    def seconds_left(self) -> float:
        """Return after how many seconds one more run may be started; infinity if that is not awaited."""
        return self._trials.seconds_left(self._clock.monotonic())

    def is_there(self) -> None:
        """Take note that there is room."""
        if self._is_short:
            self._is_short = False
            self._report(Notice(_AGAIN))

    def is_hindered(self, why: str) -> None:
        """Take note that nothing can be started although there is room."""
        self._let_know(why)

    def has_gone_on(self) -> None:
        """Take note that nothing else is in the way."""
        if not self._is_short and not self._trials.are_on:
            self._let_know("")

    def _let_know(self, why: str) -> None:
        if why != self._told:
            self._told = why
            self._tell(why)
