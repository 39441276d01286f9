"""Limits on the number of runs at a time, and the queues in which another may start. Pure."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import GpuId


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on what may run at the same time.

    Attributes:
        jobs: runs of one server, over all queues that nobody configured.
        runs: runs of one server, over all queues.
        queues: those that somebody configured, by their names.
        serves: the only queues that the server serves; None for all.
        disabled_by: what says that nothing may be started; None if nothing does.
        rules: how GPUs are given away.
        owns: the server has only GPUs that each of these lists means.
    """

    jobs: int = 1
    runs: float = math.inf
    queues: Mapping[str, Queue] = {}
    serves: Collection[str] | None = None
    disabled_by: str | None = None
    rules: Rules = Rules()
    owns: Sequence[Sequence[GpuId]] = ()

    def slots(self, queue: str) -> int:
        """Return how many runs of `queue` may run at the same time: one where nobody configured it."""
        configured = self.queues.get(queue)
        return configured.max_concurrency if configured else 1

    def confinement(self, queue: str) -> tuple[GpuId, ...] | None:
        """Return the only GPUs that runs of `queue` get; None: all."""
        configured = self.queues.get(queue)
        return configured.gpus if configured else None


class Openings(msgspec.Struct, frozen=True):
    """The queues whose first in line may start: all but some, or only some."""

    only: Collection[str] | None = None
    all_but: Collection[str] = ()

    @property
    def any(self) -> bool:
        """Return True if there can be one at all."""
        return self.only is None or bool(self.only)

    def include(self, queue: str) -> bool:
        """Return True if the first in line of that queue may start."""
        return queue not in self.all_but if self.only is None else queue in self.only

    def without(self, closed: Collection[str], only: Collection[str] | None) -> "Openings":
        """Return the same without some queues, and if `only` says some, with none but those."""
        if only is not None:
            return Openings(only=[queue for queue in only if queue not in closed and self.include(queue)])
        if self.only is None:
            return Openings(all_but={*self.all_but, *closed})
        return Openings(only=[queue for queue in self.only if queue not in closed])


class Usage(msgspec.Struct, kw_only=True):
    """The runs that go on now, counted against the limits.

    Attributes:
        queues: runs in each queue, of all servers.
        jobs: runs of this server in queues that nobody configured.
        runs: runs of this server.
        paused: the queues that a person has paused.
    """

    queues: Counter[str]
    jobs: int
    runs: int = 0
    paused: Collection[str] = ()

    def openings(self, limits: Limits) -> Openings:
        """Return where a run may be started now."""
        if limits.disabled_by or self.runs >= limits.runs:
            return Openings(only=())
        closed = {queue for queue, running in self.queues.items() if running >= limits.slots(queue)}
        closed.update(self._paused(limits))
        if self.queues.total():
            closed.update(queue.name for queue in limits.queues.values() if queue.wait_for_running)
        only = limits.serves
        if self.jobs >= limits.jobs:
            only = [queue for queue in limits.queues if only is None or queue in only]
        return _openings(only, closed)

    def openings_for_direct(self, limits: Limits) -> Openings:
        """Return where a run may be started now that waits neither for a slot nor for queues to be enabled."""
        if self.runs >= limits.runs:
            return Openings(only=())
        return _openings(limits.serves, self._paused(limits))

    def add(self, queue: str, limits: Limits) -> None:
        """Count one more run of `queue`, by this server."""
        self.queues[queue] += 1
        self.runs += 1
        self.jobs += queue not in limits.queues

    def _paused(self, limits: Limits) -> set[str]:
        return {*self.paused, *(queue.name for queue in limits.queues.values() if queue.paused)}


def _openings(only: Collection[str] | None, closed: Collection[str]) -> Openings:
    if only is None:
        return Openings(all_but=closed)
    return Openings(only=[queue for queue in only if queue not in closed])
