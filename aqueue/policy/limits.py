"""Limits on the number of runs at a time, and the queues in which another run may start. Pure."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import GpuId


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on the runs of a server at a time.

    Attributes:
        jobs: the maximum number of runs of the server in unconfigured queues.
        runs: the maximum number of runs of the server in all queues.
        queues: the configured queues by name.
        serves: the only queues that the server serves; None: all.
        disabled_by: the setting that disables all queues; None if none does.
        rules: the rules for allocating GPUs.
        owns: lists of GPUs; the server may use only GPUs that are in every list.
    """

    jobs: int = 1
    runs: float = math.inf
    queues: Mapping[str, Queue] = {}
    serves: Collection[str] | None = None
    disabled_by: str | None = None
    rules: Rules = Rules()
    owns: Sequence[Sequence[GpuId]] = ()

    def slots(self, queue: str) -> int:
        """Return the number of slots of `queue`: one if it is not configured."""
        configured = self.queues.get(queue)
        return configured.max_concurrency if configured else 1

    def confinement(self, queue: str) -> tuple[GpuId, ...] | None:
        """Return the only GPUs that runs of `queue` may use; None: all."""
        configured = self.queues.get(queue)
        return configured.gpus if configured else None


class Openings(msgspec.Struct, frozen=True):
    """The queues whose first run in line may start: all but some, or only some."""

    only: Collection[str] | None = None
    all_but: Collection[str] = ()

    @property
    def any(self) -> bool:
        """Return True if there may be such a queue."""
        return self.only is None or bool(self.only)

    def include(self, queue: str) -> bool:
        """Return True if the first run in line of a queue may start."""
        return queue not in self.all_but if self.only is None else queue in self.only

    def without(self, closed: Collection[str], only: Collection[str] | None) -> "Openings":
        """Return these openings without the closed queues and, unless `only` is None, with only those in it."""
        if only is not None:
            return Openings(only=[queue for queue in only if queue not in closed and self.include(queue)])
        if self.only is None:
            return Openings(all_but={*self.all_but, *closed})
        return Openings(only=[queue for queue in self.only if queue not in closed])


class Usage(msgspec.Struct, kw_only=True):
    """The running runs, as they count against the limits.

    Attributes:
        queues: the number of runs of all servers in each queue.
        jobs: the number of runs of this server in unconfigured queues.
        runs: the number of runs of this server.
        paused: the queues that a user has paused.
    """

    queues: Counter[str]
    jobs: int
    runs: int = 0
    paused: Collection[str] = ()

    def openings(self, limits: Limits) -> Openings:
        """Return the queues in which a run may start now."""
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
        """Return the queues in which a direct run may start now, which needs no slot and no enabled queue."""
        if self.runs >= limits.runs:
            return Openings(only=())
        return _openings(limits.serves, self._paused(limits))

    def add(self, queue: str, limits: Limits) -> None:
        """Count one more run of this server in `queue`."""
        self.queues[queue] += 1
        self.runs += 1
        self.jobs += queue not in limits.queues

    def _paused(self, limits: Limits) -> set[str]:
        return {*self.paused, *(queue.name for queue in limits.queues.values() if queue.paused)}


def _openings(only: Collection[str] | None, closed: Collection[str]) -> Openings:
    if only is None:
        return Openings(all_but=closed)
    return Openings(only=[queue for queue in only if queue not in closed])
