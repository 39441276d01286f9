"""Idle shutdown."""

import math
from collections.abc import Callable

from aqueue.clock import Clock
from aqueue.intake.loop import IntakeLoop
from aqueue.model.events import Detail, Notice, Report
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.membership import Membership


class Idling:
    """Has a server leave once nothing has been queued or running for a while.

    Args:
        timeout: returns for how many seconds, as it is now; None: it does not matter how long.
        despite_schedules: it leaves although there are schedules.
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
        """The number of runs that were queued when it left, as only a person can have them started."""

    def moment(self) -> float:
        """Return when it leaves, as things are; infinity while there is something to do."""
        since, seconds = self._dispatcher.idle_since, self._timeout()
        if since is None or seconds is None or self._dispatcher.is_draining:
            return math.inf
        return max(since + seconds, self._not_before)

    async def leave(self) -> None:
        """Have the server leave, unless something has come that it was not told of yet."""
        if not self._intake.is_settled:
            # The intake's thread is at work, or waits for a file to be whole.
            seconds = self._timeout() or 0.0
            self._not_before = self._clock.monotonic() + min(max(seconds / 4, 0.01), 0.25)
            return
        left = await self._membership.leave_if_idle(despite_schedules=self._despite_schedules)
        if left is None:
            self._dispatcher.idle_since = None
            self._dispatcher.wake()
            return
        self.left_queued = left.queued
        nothing = "nothing can go on without a person" if left.said else "nothing is queued or running"
        self._report(Detail(f"{nothing}: leaving"))
        self._report(*(Notice(text, urgent=True) for text in left.said))
        self._dispatcher.drain()
