"""The result of a cycle."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from aqueue.model.claim import ClaimResult
from aqueue.model.outcome import Outcome
from aqueue.model.run import Run
from aqueue.model.server import Server
from aqueue.model.submission import Accepted, run_ids
from aqueue.server.schedules import SchedulesResult
from aqueue.store.queues import Outlook


class Liveness(NamedTuple):
    """The servers of a folder that are up, and those that are gone.

    Attributes:
        fresh: the ids of those whose heartbeat is fresh.
        gone: the ids of those that have ended; a stopped one is neither fresh nor gone.
        woke_at: when this server last found that it had slept.
        stale_at: when the next heartbeat becomes stale, unless another one comes before.
    """

    fresh: Collection[str]
    gone: Collection[str]
    woke_at: float
    stale_at: float


class AdoptedRun(NamedTuple):
    """A run taken over from a server that is gone, with what an executor needs to know of its attempt.

    Attributes:
        handle: of the attempt; None if the store has none.
        boot: the boot in which that server was started; empty if that is not known.
    """

    run: Run
    handle: str | None
    boot: str


class CycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction recorded, and what follows from it.

    Attributes:
        known: the names of files that were in the store already.
        accepted: the new runs of each file, by its name in `incoming/`.
        aborted: runs that can never start, because of how one ended that they need.
        unblocked: the number of runs that need not wait for others any more.
        schedules: the result for schedules.
        ended: the outcomes that were recorded, each with its run as it is now.
        liveness: of all servers; None if that was not asked.
        adopted: the runs of servers that are gone.
        own_attempts: the runs that the store says this server has, with the numbers of their attempts; None if
            that was not asked.
        claim: the runs that may start now; None if no run could be claimed.
        cancellations: the runs to stop, and why.
        record: the store's record of this server; None if that was not asked.
        outlook: what is still to come.
    """

    known: Collection[str]
    accepted: Mapping[str, Sequence[Accepted]]
    aborted: list[Run]
    unblocked: int
    schedules: SchedulesResult
    ended: list[tuple[Outcome, Run]]
    liveness: Liveness | None
    adopted: list[AdoptedRun]
    own_attempts: set[tuple[int, int]] | None
    claim: ClaimResult | None
    cancellations: list[tuple[int, str]]
    record: Server | None
    outlook: Outlook

    @property
    def claimed(self) -> list[Run]:
        """Return the runs that may start now."""
        return self.claim.runs if self.claim is not None else []

    @property
    def concerns_others(self) -> bool:
        """Return True if another server may now be able to start something that this one did not, or to leave."""
        if self.outlook.servers < 2:
            return False
        claimed = Counter(run.queue for run in self.claimed)
        if Counter(run.queue for _, run in self.ended) - claimed:
            return True
        freed = Counter(gpu.key for outcome, _ in self.ended for gpu in outcome.run.gpus)
        if freed - Counter(gpu.key for run in self.claimed for gpu in run.gpus):
            return True
        new = len(run_ids(chain.from_iterable(self.accepted.values()))) + self.unblocked
        new += len(run_ids(made.accepted for made in self.schedules.made))
        new += self.schedules.decided.caught_up if self.schedules.decided else 0
        return self.outlook.waiting and new + len(self.ended) > len(self.claimed)
