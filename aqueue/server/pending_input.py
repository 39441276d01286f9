"""The input that accumulates between two cycles."""

from collections.abc import Callable, Sequence

from aqueue.clock import Clock, boot
from aqueue.model.claim import GpuView
from aqueue.model.notification import Target
from aqueue.model.outcome import Outcome
from aqueue.policy.limits import Limits
from aqueue.server.attempts import Attempts
from aqueue.server.code_keeper import CodeKeeper
from aqueue.server.cycle_input import CycleInput
from aqueue.server.cycle_timing import CycleTiming
from aqueue.server.deliveries import Deliveries
from aqueue.server.left_orders import LeftOrders
from aqueue.store.presence import SET_SECONDS


class PendingInput:
    """The input for the next cycle of one server.

    Args:
        code: the code of due runs.
        targets: returns the configured targets of messages.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        attempts: Attempts,
        orders: LeftOrders,
        code: CodeKeeper,
        targets: Callable[[], Sequence[Target]],
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._attempts = attempts
        self._orders = orders
        self._code = code
        self._targets = targets
        self._clock = clock
        self._clock_ahead = clock.ahead()
        self.store_may_have_changed = False
        """True if another process may have changed the store, or time has passed."""
        self.heartbeat_is_due = True
        """True if a heartbeat is due, and a check of those of other servers."""

    def take(
        self,
        outcomes: Sequence[Outcome],
        limits: Limits,
        timing: CycleTiming,
        gpu_view: GpuView | None,
        *,
        stays: bool,
    ) -> CycleInput:
        """Return the input of a new cycle.

        Args:
            outcomes: the outcomes to record.
            gpu_view: None if no run may be claimed.
            stays: False if the server is leaving: then it makes and claims no runs.
        """
        now, deliveries = self._clock.now(), self._deliveries.take()
        changed, self.store_may_have_changed = self.store_may_have_changed, False
        beats, self.heartbeat_is_due = self.heartbeat_is_due, False
        return CycleInput(
            files=[file for one in deliveries for file in one.files],
            schedule_files=[file for one in deliveries for file in one.schedule_files] if stays else (),
            outcomes=outcomes,
            handles=self._attempts.take_handles(),
            limits=limits,
            now=now,
            clock_was_set=self._set_clock(),
            gpu_view=gpu_view if stays else None,
            store_may_have_changed=changed,
            heartbeat_is_due=beats,
            makes_due_runs=stays and (changed or beats or timing.schedules_are_due(now)),
            kept=self._code.kept,
            adopts_runs=stays and (beats or timing.has_other_servers),
            orders=self._orders.read() if changed or beats else (),
            targets=self._targets(),
        )

    def put_back(self) -> None:
        """Keep the input of a failed cycle for the next."""
        self._deliveries.put_back()
        self._attempts.put_back()
        self.store_may_have_changed = self.heartbeat_is_due = True

    def _set_clock(self) -> tuple[str, float] | None:
        """Return this boot and the seconds the wall clock is ahead of it; None if it was not set."""
        ahead = self._clock.ahead()
        if abs(ahead - self._clock_ahead) <= SET_SECONDS:
            return None
        self._clock_ahead = ahead
        return boot(), ahead
