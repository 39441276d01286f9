"""Idle shutdown."""

import math
from collections.abc import Callable

from aqueue.clock import Clock
from aqueue.intake.loop import IntakeLoop
from aqueue.model.events import Detail, Notice, Report
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.membership import Membership


class Idling:
    """The shutdown of a server that has had nothing queued or running for a while.

    Args:
        timeout: returns the idle timeout in seconds; None: never leave.
        despite_schedules: whether to leave although there are schedules.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        membership: Membership,
        intake: IntakeLoop,
        timeout: Callable[[], float | None],
        clock: Clock,
        report: Report,
        *,
        despite_schedules: bool,
    ) -> None:
        self._dispatcher = dispatcher
        self._membership = membership
        self._intake = intake
        self._timeout = timeout
        self._clock = clock
        self._report = report
        self._despite_schedules = despite_schedules
        self._not_before = -math.inf
        self.left_queued = 0
        """The number of runs still queued when the server left: they cannot start without a user."""

    def moment(self) -> float:
        """Return when the server leaves; infinity while it is busy."""
        since, seconds = self._dispatcher.idle_since, self._timeout()
        if since is None or seconds is None or self._dispatcher.is_draining:
            return math.inf
        return max(since + seconds, self._not_before)

    async def leave(self) -> None:
        """Let the server leave, unless something has arrived meanwhile."""
        if not self._intake.is_settled:
            # The intake is reading files, or waits for one to be complete.
            seconds = self._timeout() or 0.0
            self._not_before = self._clock.monotonic() + min(max(seconds / 4, 0.01), 0.25)
            return
        left = await self._membership.leave_if_idle(despite_schedules=self._despite_schedules)
        if left is None:
            self._dispatcher.idle_since = None
            self._dispatcher.wake()
            return
        self.left_queued = left.queued
        why = "no queued run can start without you" if left.reasons else "nothing is queued or running"
        self._report(Detail(f"{why}: the server exits"))
        self._report(*(Notice(text, urgent=True) for text in left.reasons))
        self._dispatcher.drain()
