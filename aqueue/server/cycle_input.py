"""The input of a cycle."""

from collections.abc import Sequence
from typing import Final

import msgspec

from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.claim import GpuView
from aqueue.model.notification import Target
from aqueue.model.outcome import Outcome
from aqueue.model.schedule import Kept
from aqueue.policy.limits import Limits
from aqueue.store.attempts import Handle
from aqueue.store.orders import Order

_MAX_IN_SMALL_CYCLE: Final = 64
"""The number of new runs that one transaction stores in a few milliseconds."""


class CycleInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that has arrived since the last cycle.

    Attributes:
        files: the claimed files to accept.
        schedule_files: files that were read or removed.
        outcomes: the outcomes of attempts that have ended.
        handles: the handles of attempts that are not in the store yet.
        limits: the limits in force.
        now: seconds since the epoch.
        clock_was_set: this boot, and the seconds the wall clock is ahead of the time since boot; None if the
            clock was not set.
        gpu_view: the latest GPU readings; None if no run may be claimed.
        store_may_have_changed: whether another process may have changed the store, or time has passed.
        heartbeat_is_due: whether to record a heartbeat of this server.
        makes_due_runs: whether due schedules become runs.
        kept: the code of those runs.
        adopts_runs: whether to look for servers that are gone and adopt their runs.
        orders: the orders left in a file because the disk was full.
        targets: the configured targets of messages.
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
    targets: Sequence[Target] = ()

    @property
    def is_small(self) -> bool:
        """Return True if there are only ended attempts and a few task files, as in most cycles."""
        if self.store_may_have_changed or self.heartbeat_is_due or self.makes_due_runs:
            return False
        if self.schedule_files or self.clock_was_set:
            return False
        if self.adopts_runs:
            # This checks the lock of each other server, and may find many runs to adopt.
            return False
        requests = [request for file in self.files for request in file.requests]
        return len(requests) <= _MAX_IN_SMALL_CYCLE and all(request.sweep is None for request in requests)
