"""The input of a cycle."""

from collections.abc import Sequence
from typing import Final

import msgspec

from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.claim import GpuView
from aqueue.model.outcome import Outcome
from aqueue.model.schedule import Kept
from aqueue.policy.limits import Limits
from aqueue.store.attempts import Handle
from aqueue.store.orders import Order

_MAX_IN_SMALL_CYCLE: Final = 64
"""The number of new runs one transaction puts into the store in a few milliseconds."""


class CycleInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that has come together since the last cycle.

    Attributes:
        files: to accept.
        schedule_files: that were read, or are gone.
        outcomes: of attempts that have ended.
        handles: of attempts that go on, which the store does not have yet.
        limits: in force.
        now: seconds since the epoch.
        clock_was_set: this boot, and the seconds that the wall clock is ahead of the time since it, if the clock
            was set; None if it was not.
        gpu_view: the latest readings of the GPUs; None if no run may be claimed.
        store_may_have_changed: somebody else has changed the store, or time has passed.
        heartbeat_is_due: this server gives a sign of life.
        makes_due_runs: schedules that are due become runs.
        kept: the code that is kept for those runs.
        adopts_runs: servers that are gone are looked for, and their runs taken over.
        orders: left in a file because the database could not take them.
    """

    files: Sequence[ClaimedFile]
    schedule_files: Sequence[ScheduleFile]
    outcomes: Sequence[Outcome]
    handles: Sequence[Handle] = ()
    limits: Limits
    now: float
    clock_was_set: tuple[str, float] | None = None
    gpu_view: GpuView | None
    store_may_have_changed: bool
    heartbeat_is_due: bool
    makes_due_runs: bool
    kept: Kept = {}
    adopts_runs: bool
    orders: Sequence[Order] = ()

    @property
    def is_small(self) -> bool:
        """Return True if there are only ended attempts and a few plain files, as in most cycles."""
        if self.store_may_have_changed or self.heartbeat_is_due or self.makes_due_runs:
            return False
        if self.schedule_files or self.clock_was_set:
            return False
        if self.adopts_runs:
            # It asks the system for each of the other servers, and may find many runs to take over.
            return False
        requests = [request for file in self.files for request in file.requests]
        return len(requests) <= _MAX_IN_SMALL_CYCLE and all(request.sweep is None for request in requests)
