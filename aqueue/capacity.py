"""Which run may start next, and why another has to wait. Pure."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from aqueue.cards import CardId
from aqueue.durations import spell
from aqueue.models import NOT_YET, Queue, Run, Server, State
from aqueue.placement import Rules


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may run at the same time.

    Attributes:
        jobs: runs of one server, over all queues that nobody configured.
        runs: runs of one server, over all queues.
        queues: those that somebody configured, by their names.
        serves: the only queues that the server serves; None for all.
        disabled_by: what says that nothing may be started; None if nothing does.
        rules: how GPUs are given away.
        owns: the server has only cards that each of these lists means.
    """

    jobs: int = 1
    runs: float = math.inf
    queues: Mapping[str, Queue] = {}
    serves: Collection[str] | None = None
    disabled_by: str | None = None
    rules: Rules = Rules()
    owns: Sequence[Sequence[CardId]] = ()

    def slots(self, queue: str) -> int:
        """How many runs of `queue` may run at the same time: one where nobody configured it."""
        configured = self.queues.get(queue)
        return configured.max_concurrency if configured else 1

    def confinement(self, queue: str) -> tuple[CardId, ...] | None:
        """The only cards that runs of `queue` get; None: all."""
        configured = self.queues.get(queue)
        return configured.gpus if configured else None


class Openings(msgspec.Struct, frozen=True):
    """The queues whose first in line may start: all but some, or only some."""

    only: Collection[str] | None = None
    all_but: Collection[str] = ()

    @property
    def any(self) -> bool:
        """Whether there can be one at all."""
        return self.only is None or bool(self.only)

    def include(self, queue: str) -> bool:
        """Whether the first in line of that queue may start."""
        return queue not in self.all_but if self.only is None else queue in self.only

    def without(self, closed: Collection[str], only: Collection[str] | None) -> "Openings":
        """The same without some queues, and if `only` says some, with none but those."""
        if only is not None:
            return Openings(only=[queue for queue in only if queue not in closed and self.include(queue)])
        if self.only is None:
            return Openings(all_but={*self.all_but, *closed})
        return Openings(only=[queue for queue in self.only if queue not in closed])


class Usage(msgspec.Struct, kw_only=True):
    """What is running, and what is kept from it.

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
        """Where a run may be started now."""
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
        """Where a run may be started now that does not have to wait for a slot, nor for queues to be enabled."""
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


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a waiting run has before it.

    Attributes:
        servers: those that are up.
        silent: those that are up, too, but give no sign of life.
        ahead: how many runs of its queue go first.
        running: the ids of the runs that run, for each queue.
        jobs: how many runs each server has in queues that nobody configured.
        is_paused: whether a person has paused its queue.
        unmet: the ids of the first runs that it comes after and that are not over.
    """

    servers: Sequence[Server]
    ahead: int
    running: Mapping[str, list[int]]
    jobs: Mapping[str, int]
    is_paused: bool = False
    silent: Sequence[Server] = ()
    unmet: Sequence[int] = ()


def waiting_for(
    run: Run, line: Line, limits: Limits, now: float, hindered: Mapping[str, str] | None = None
) -> str | None:
    """Say what keeps `run` from being started; None if nothing does, or it does not wait.

    Args:
        hindered: why servers, by their ids, can start nothing at all.
    """
    if run.state is State.HELD:
        return f"hold; `aqueue release {run.id}` lets it go"
    if run.state is not State.QUEUED:
        return None
    if run.ready_at == NOT_YET:
        return f"comes after {_name(line.unmet)}"
    servers = [server for server in line.servers if server.serves(run.queue)]
    disabled_by = [server.disabled_by for server in servers] or [limits.disabled_by]
    hindrance = _hindrance(servers, hindered or {})
    if all(disabled_by) and run.direct and servers:
        return _its_turn(run, line, limits, now) or hindrance
    if all(disabled_by):
        return f"queues are disabled: {disabled_by[0]}"
    if not servers:
        return _its_server(run, line)
    return _its_turn(run, line, limits, now) or hindrance or _its_slot(run, line, limits, servers)


def _hindrance(servers: Sequence[Server], hindered: Mapping[str, str]) -> str | None:
    """Say why none of these servers can start anything; None if one can."""
    whys = [hindered.get(server.id) for server in servers]
    return f"nothing is started: {whys[0]}" if whys and all(whys) else None


def _openings(only: Collection[str] | None, closed: Collection[str]) -> Openings:
    if only is None:
        return Openings(all_but=closed)
    return Openings(only=[queue for queue in only if queue not in closed])


def _its_server(run: Run, line: Line) -> str:
    if any(server.leaving is None for server in line.servers):
        return f"no server serves queue {run.queue}; `aqueue serve` starts one"
    if line.silent:
        pid = line.silent[0].pid
        return f"server {pid} gives no sign of life; if it is stopped, `kill -CONT {pid}` wakes it"
    if line.servers:
        return f"server {line.servers[0].pid} is leaving; `aqueue serve` starts another"
    return "no server is up; `aqueue serve` starts one"


def _its_turn(run: Run, line: Line, limits: Limits, now: float) -> str | None:
    configured = limits.queues.get(run.queue)
    if line.is_paused:
        return f"queue {run.queue} is paused; `aqueue resume {run.queue}` lets it go on"
    if configured is not None and configured.paused:
        return f"queue {run.queue} is paused in aqueue.yaml"
    if run.ready_at is not None and run.ready_at > now:
        return f"retry in {spell(run.ready_at - now)}"
    if line.ahead:
        return f"{line.ahead} ahead of it in queue {run.queue}"
    return None


def _its_slot(run: Run, line: Line, limits: Limits, servers: Sequence[Server]) -> str | None:
    configured = limits.queues.get(run.queue)
    busy = line.running.get(run.queue, [])
    if len(busy) >= limits.slots(run.queue):
        return f"queue {run.queue} is full: {_name(busy)}"
    others = [id_ for ids in line.running.values() for id_ in ids]
    if configured is not None and configured.wait_for_running and others:
        return f"queue {run.queue} waits until nothing else is running: {_name(others)}"
    if configured is None and all(line.jobs.get(server.id, 0) >= server.most_jobs for server in servers):
        return f"all jobs are taken ({sum(server.most_jobs for server in servers)}); `-j` allows more"
    return None


def _name(ids: Sequence[int]) -> str:
    return ("run " if len(ids) == 1 else "runs ") + ", ".join(map(str, ids[:3])) + (" …" if len(ids) > 3 else "")
