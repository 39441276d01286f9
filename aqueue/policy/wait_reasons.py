"""Reasons why a run waits. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from aqueue.model.basics import NO_SERVER
from aqueue.model.run import NOT_YET, Run, State
from aqueue.model.server import Server
from aqueue.policy.limits import Limits
from aqueue.units import spell


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a waiting run: the runs ahead of it, and the servers.

    Attributes:
        servers: the servers that respond.
        silent: the servers that are up but not responding.
        ahead: the number of runs ahead of it in its queue.
        running: the ids of the running runs of each queue.
        jobs: the number of runs of each server in unconfigured queues.
        is_paused: whether a user has paused its queue.
        unmet: the ids of its first prerequisites that are not over.
    """

    servers: Sequence[Server]
    ahead: int
    running: Mapping[str, list[int]]
    jobs: Mapping[str, int]
    is_paused: bool = False
    silent: Sequence[Server] = ()
    unmet: Sequence[int] = ()


def waiting_for(
    run: Run, line: Line, limits: Limits, now: float, shortages: Mapping[str, str] | None = None
) -> str | None:
    """Return why `run` waits; None if nothing prevents its start or it does not wait.

    Args:
        shortages: why servers, by their ids, can start no run at all.
    """
    if run.state is State.HELD:
        return f"held; `aqueue release {run.id}` queues it"
    if run.state is not State.QUEUED:
        return None
    if run.ready_at == NOT_YET:
        return f"waits for {_name(line.unmet)}"
    servers = [server for server in line.servers if server.serves(run.queue)]
    disabled_by = [server.disabled_by for server in servers] or [limits.disabled_by]
    shortage = _shortage(servers, shortages or {})
    if all(disabled_by) and run.direct and servers:
        return _its_turn(run, line, limits, now) or shortage
    if all(disabled_by):
        return f"queues are disabled: {disabled_by[0]}"
    if not servers:
        # A pause comes first: a new server would not help.
        return _its_pause(run, line, limits) or _its_server(run, line)
    return _its_turn(run, line, limits, now) or shortage or _its_slot(run, line, limits, servers)


def _shortage(servers: Sequence[Server], shortages: Mapping[str, str]) -> str | None:
    """Return why none of these servers can start a run; None if one can."""
    whys = [shortages.get(server.id) for server in servers]
    return f"nothing is started: {whys[0]}" if whys and all(whys) else None


def _its_server(run: Run, line: Line) -> str:
    if any(server.leaving is None for server in line.servers):
        return f"no server serves queue {run.queue}; `aqueue serve` starts one"
    if line.silent:
        pid = line.silent[0].pid
        return f"server {pid} is not responding; if it is suspended, `kill -CONT {pid}` resumes it"
    if line.servers:
        return f"server {line.servers[0].pid} is stopping; `aqueue serve` starts another"
    return f"{NO_SERVER}; `aqueue serve` starts one"


def _its_pause(run: Run, line: Line, limits: Limits) -> str | None:
    configured = limits.queues.get(run.queue)
    if line.is_paused:
        return f"queue {run.queue} is paused; `aqueue resume {run.queue}` resumes it"
    if configured is not None and configured.paused:
        return f"queue {run.queue} is paused in aqueue.yaml"
    return None


def _its_turn(run: Run, line: Line, limits: Limits, now: float) -> str | None:
    if pause := _its_pause(run, line, limits):
        return pause
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
    if configured is None and all(line.jobs.get(server.id, 0) >= server.max_jobs for server in servers):
        return f"all job slots are taken ({sum(server.max_jobs for server in servers)}); `-j` allows more"
    return None


def _name(ids: Sequence[int]) -> str:
    return ("run " if len(ids) == 1 else "runs ") + ", ".join(map(str, ids[:3])) + (" …" if len(ids) > 3 else "")
