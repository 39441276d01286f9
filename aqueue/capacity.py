"""Which run may start next, and why another has to wait. Pure."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from aqueue.durations import spell
from aqueue.models import Run, State


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs may run at the same time.

    Attributes:
        jobs: in one server, over all queues that nobody configured.
    """

    jobs: int = 1

    def slots(self, queue: str) -> int:  # noqa: ARG002 - the argument of the layer above, once queues are configured
        """How many runs of `queue` may run at the same time: one where nobody configured it."""
        return 1


class Usage(msgspec.Struct, kw_only=True):
    """What is running.

    Attributes:
        queues: runs in each queue, of all servers.
        jobs: runs of this server.
    """

    queues: Counter[str]
    jobs: int

    def full(self, limits: Limits) -> list[str]:
        """The queues that have no free slot."""
        return [queue for queue, running in self.queues.items() if running >= limits.slots(queue)]

    def add(self, queue: str) -> None:
        """Count one more run of `queue`, by this server."""
        self.queues[queue] += 1
        self.jobs += 1


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a waiting run has before it.

    Attributes:
        servers: how many servers are up.
        ahead: how many runs of its queue go first.
        running: the ids of the runs that run, for each queue.
    """

    servers: int
    ahead: int
    running: Mapping[str, list[int]]


def waiting_for(run: Run, line: Line, limits: Limits, now: float) -> str | None:
    """Say what keeps `run` from being started; None if nothing does, or it does not wait."""
    if run.state is State.HELD:
        return f"hold; `aqueue release {run.id}` lets it go"
    if run.state is not State.QUEUED:
        return None
    if not line.servers:
        return "no server is up; `aqueue serve` starts one"
    if run.ready_at is not None and run.ready_at > now:
        return f"retry in {spell(run.ready_at - now)}"
    busy = line.running.get(run.queue, [])
    if line.ahead:
        return f"{line.ahead} ahead of it in queue {run.queue}"
    if len(busy) >= limits.slots(run.queue):
        return f"queue {run.queue} is full: {_name(busy)}"
    if sum(map(len, line.running.values())) >= limits.jobs * line.servers:
        return f"all jobs are taken ({limits.jobs}); `-j` allows more"
    return None


def _name(ids: list[int]) -> str:
    return ("run " if len(ids) == 1 else "runs ") + ", ".join(map(str, ids[:3])) + (" …" if len(ids) > 3 else "")
