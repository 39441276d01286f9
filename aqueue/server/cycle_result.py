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
        gone: the ids of those that have exited; a suspended one is neither fresh nor gone.
        woke_at: when this server last noticed that it had been suspended.
        stale_at: when the next heartbeat becomes stale, unless it is renewed before.
    """

    fresh: Collection[str]
    gone: Collection[str]
    woke_at: float
    stale_at: float


class AdoptedRun(NamedTuple):
    """A run adopted from a server that is gone, with what an executor needs to find its attempt.

    Attributes:
        handle: the handle of the attempt; None if none is stored.
        boot: the boot in which that server started; empty if unknown.
    """

    run: Run
    handle: str | None
    boot: str


class CycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that one cycle recorded, and their consequences.

    Attributes:
        already_accepted: the names of files whose runs were in the store before.
        accepted: the new runs of each file, by its name in `incoming/`.
        aborted: runs aborted because a prerequisite did not succeed.
        unblocked: the number of runs whose prerequisites are now met.
        schedules: the result for schedules.
        ended: the recorded outcomes, each with its run as it is now.
        liveness: the liveness of all servers; None if it was not checked.
        adopted: the runs of servers that are gone, if this server has their executor.
        own_attempts: the run ids and attempt numbers that belong to this server according to the store; None if
            they were not read.
        claim: the result of the claim; None if no run could be claimed.
        cancellations: the ids of the runs to stop, each with the reason.
        record: the store's record of this server; None if it was not read.
        outlook: what is still to come.
        has_messages: True if there are messages to send.
    """

    already_accepted: Collection[str]
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
    has_messages: bool = False

    @property
    def claimed(self) -> list[Run]:
        """Return the runs that may start now."""
        return self.claim.runs if self.claim is not None else []

    @property
    def concerns_others(self) -> bool:
        """Return True if the result may let another server start a run or leave."""
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
