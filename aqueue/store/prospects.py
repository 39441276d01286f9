"""Prospects of waiting runs: whether one can start by itself, or only after a user acts."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from aqueue.model.gpu import GpuReading, GpuRequest
from aqueue.model.run import NOT_YET, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.gpu_placement import Allocator
from aqueue.policy.limits import Limits
from aqueue.policy.wait_reasons import waiting_for
from aqueue.store.gpus import Gpus
from aqueue.store.queues import Outlook, Queues
from aqueue.store.rows import IN_LINE, RUNS, WAITING, as_json, fetch_runs, in_states
from aqueue.store.servers import Servers

_MAX_REASONS: Final = 5
_STARTABLE: Final = "state = 'queued' AND ready_at IS NOT :not_yet"
_KIND: Final = "queue, gpu_request, direct, state = 'running'"
_ROOTS: Final = f"""
WITH RECURSIVE sets (id) AS (
    SELECT prerequisites FROM runs WHERE state = 'queued' AND ready_at = :not_yet AND {{which}}
    UNION SELECT prerequisites FROM runs WHERE state = 'held' AND ready_at = :not_yet AND {{which}}
    UNION SELECT runs.prerequisites FROM sets
        CROSS JOIN prerequisite_runs AS p ON p.prerequisites = sets.id
        CROSS JOIN runs ON runs.id = p.run AND {WAITING}
)
SELECT DISTINCT {_KIND} FROM sets
    CROSS JOIN prerequisite_runs AS p ON p.prerequisites = sets.id
    CROSS JOIN runs ON runs.id = p.run AND (state = 'running' OR {_STARTABLE})
"""
"""The kinds of the running or startable runs that the runs of a condition depend on, directly or not."""


_STARTABLE_KINDS: Final = (
    "SELECT queue, gpu_request, 0, 0 FROM heads"
    f" UNION SELECT queue, gpu_request, 1, 0 FROM runs WHERE direct AND {IN_LINE}"
    " UNION SELECT queue, gpu_request, direct, 0 FROM runs"
    " WHERE state = 'queued' AND ready_at IS NOT NULL AND ready_at < ?"
)
_LEAVE_IF_NOT_WANTED: Final = "UPDATE servers SET leaving = ? WHERE id = ? AND leaving IS NULL AND wanted_at = ?"
_FIRST_OF: Final = f"{RUNS} WHERE id IN (SELECT id FROM ({{which}}) ORDER BY id LIMIT :most) ORDER BY id"
_SERVED: Final = "queue IN (SELECT value FROM json_each(:queues))"


class Kind(NamedTuple):
    """A kind of runs that can start under the same conditions.

    Attributes:
        gpu_request: the GPUs they request, as text; empty for none.
        direct: whether they start although queues are disabled.
        is_running: whether they are running, so that something will happen by itself.
    """

    queue: str
    gpu_request: str
    direct: bool
    is_running: bool


class Left(NamedTuple):
    """The runs left in the queues of a leaving server.

    Attributes:
        reasons: a line for each of the first runs, with the reason why it waits.
        queued: how many are queued; the others are held.
    """

    reasons: Sequence[str]
    queued: int


class Prospects:
    """The prospects of runs to start without a user.

    Args:
        transaction: a connection inside a transaction; a writing one to leave.
    """

    def __init__(self, transaction: sqlite3.Connection, queues: Queues, servers: Servers, gpus: Gpus) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._queues = queues
        self._servers = servers
        self._gpus = gpus

    def outlook_for(self, server: str, limits: Limits, now: float) -> Outlook:
        """Return the outlook of a server; runs that cannot start without a user do not keep it busy."""
        outlook = self._queues.outlook(limits, now)
        if outlook.running or not outlook.busy or self._has_prospects(server, limits, now):
            return outlook
        return outlook._replace(busy=False)

    def leave_if_idle(
        self, server: Server, limits: Limits, now: float, *, despite_schedules: bool = False
    ) -> bool:
        """Mark a server as leaving, unless there is work or it was asked to stay meanwhile.

        Args:
            server: its record at the time it decided to leave.
            limits: the limits of the server.
            despite_schedules: whether to leave although there are schedules.
        """
        outlook = self.outlook_for(server.id, limits, now)
        if outlook.busy or outlook.has_missed or (outlook.has_schedules and not despite_schedules):
            return False
        return bool(self._execute(_LEAVE_IF_NOT_WANTED, (Leaving.WHEN_DONE, server.id, server.wanted_at)).rowcount)

    def left_runs(self, server: Server, limits: Limits, now: float) -> Left:
        """Return the runs left in the queues of a server, with the reasons."""
        served = "1" if limits.serves is None else _SERVED
        values = {"queues": as_json(limits.serves or ()), "most": _MAX_REASONS}
        which = in_states("id, state", (State.QUEUED, State.HELD), served)
        counted = f"SELECT count(*), count(*) FILTER (WHERE state = 'queued') FROM ({which})"
        count, queued = self._execute(counted, values).fetchone()
        runs = fetch_runs(self._transaction, _FIRST_OF.format(which=which), values)
        here = _as_it_is(server, limits)
        allocator = _allocator_of(here, self._gpus.reading([here.id]), limits, now)
        reasons = []
        for run, line in zip(runs, self._queues.lines(runs, [here], limits.queues), strict=True):
            why = waiting_for(run, line, limits, now)
            if why is None and run.task.gpu_request is not None:
                why = allocator.lack(run.task.gpu_request, limits.confinement(run.queue))
            reasons.append(f"run {run.id} {run.name} is left" + (f": {why}" if why else ""))
        more = (
            [f"{count - len(reasons)} more are left; `aqueue ls` shows why each waits"]
            if count > len(reasons)
            else []
        )
        return Left(reasons + more, queued)

    def can_end(self, ids: Iterable[int], servers: Sequence[Server], limits: Limits, now: float) -> bool:
        """Return True if one of these runs may start or end without a user.

        Args:
            ids: the ids of runs that are not over.
            servers: those that are up and not stale.
            limits: the limits that all of them share.
        """
        values = {"ids": as_json(ids), "not_yet": NOT_YET}
        among = "id IN (SELECT value FROM json_each(:ids))"
        themselves = f"SELECT {_KIND} FROM runs WHERE {among} AND (state = 'running' OR {_STARTABLE})"
        return any(
            self._can_move(map(Kind._make, self._execute(kinds, values)), servers, limits, now, if_unserved=True)
            for kinds in (themselves, _ROOTS.format(which=among))
        )

    def _has_prospects(self, server: str, limits: Limits, now: float) -> bool:
        """Return True if a run waiting for this server may start without a user, although none is running."""
        record = self._servers.get(server)
        if record is None:
            return True
        here = _as_it_is(record, limits)
        startable = self._execute(_STARTABLE_KINDS, (NOT_YET,))
        if self._can_move(map(Kind._make, startable), [here], limits, now):
            return True
        if limits.serves is None:
            return False
        # Prerequisites may be in queues of other servers.
        values = {"queues": as_json(limits.serves), "not_yet": NOT_YET}
        roots = self._execute(_ROOTS.format(which=_SERVED), values)
        servers = [here, *(other for other in self._servers.all() if other.id != server)]
        return self._can_move(map(Kind._make, roots), servers, limits, now)

    def _can_move(
        self,
        kinds: Iterable[Kind],
        servers: Sequence[Server],
        limits: Limits,
        now: float,
        *,
        if_unserved: bool = False,
    ) -> bool:
        """Return True if runs of one of these kinds are running, or one of these servers can start them.

        Args:
            if_unserved: the result for a queue that none of them serves.
        """
        paused = {*self._queues.paused(), *(queue.name for queue in limits.queues.values() if queue.paused)}
        known: dict[tuple[str, str, object], bool] = {}
        for kind in kinds:
            if kind.is_running:
                return True
            if kind.queue in paused:
                continue
            serving = [server for server in servers if server.serves(kind.queue)]
            if not serving and if_unserved and (kind.direct or not limits.disabled_by):
                return True
            for server in serving:
                key = (server.id, kind.gpu_request, limits.confinement(kind.queue))
                if key not in known:
                    known[key] = self._has_gpus_for(kind, server, limits, now)
                if known[key] and (kind.direct or not server.disabled_by):
                    return True
        return False

    def _has_gpus_for(self, kind: Kind, server: Server, limits: Limits, now: float) -> bool:
        """Return False if a server is known to lack the GPUs that runs of this kind request."""
        if not kind.gpu_request:
            return True
        reading = self._gpus.reading([server.id])
        # An installed driver that fails now may recover by itself.
        if reading is None or (reading.problem is not None and not reading.is_without_driver):
            return True
        gpu_request = msgspec.json.decode(kind.gpu_request, type=GpuRequest)
        return not _allocator_of(server, reading, limits, now).lack(gpu_request, limits.confinement(kind.queue))


def _allocator_of(server: Server, reading: GpuReading | None, limits: Limits, now: float) -> Allocator:
    """Return the allocator of a server's GPUs as if no run used any."""
    return Allocator(reading, (), {}, limits.rules, server.owns, now)


def _as_it_is(server: Server, limits: Limits) -> Server:
    """Return the record of a server with its current limits, and not as leaving."""
    queues = None if limits.serves is None else tuple(limits.serves)
    return msgspec.structs.replace(
        server, queues=queues, owns=limits.owns, disabled_by=limits.disabled_by, leaving=None
    )
