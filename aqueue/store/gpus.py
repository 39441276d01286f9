"""GPUs: who has which, who waits for some, what servers saw of them and keep of them."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from aqueue.model.gpu import Allocation, GpuReading, GpuRequest
from aqueue.policy.gpu_placement import Allocator, Lease, Reservation
from aqueue.policy.limits import Limits
from aqueue.store.rows import IN_LINE, RUNS, as_json, fetch_runs

_BELIEVED_SECONDS: Final = 60.0
"""The time that a server without a sign of life is believed to start the runs that it keeps GPUs for."""

LINES: Final = "heads"
"""The first of each line."""

DIRECT: Final = f"(SELECT queue, demand, priority, id AS run FROM runs WHERE direct AND {IN_LINE})"
"""In place of the heads of lines: all runs that do not stand in line."""

_WITH_CARDS: Final = f"{RUNS} WHERE state = 'running' AND gpus IS NOT NULL"
_RESERVATIONS: Final = (
    "SELECT set_aside FROM servers"
    " WHERE set_aside IS NOT NULL AND id <> ? AND leaving IS NULL AND heartbeat_at > ?"
)
_QUEUED: Final = "SELECT id FROM runs WHERE state = 'queued' AND id IN (SELECT value FROM json_each(?))"
_WAITING: Final = (
    f"SELECT id, queue, demand FROM runs INDEXED BY runs_in_line WHERE {IN_LINE} AND demand <> '' ORDER BY id"
)
_DEMANDS: Final = (
    "WITH RECURSIVE found (demand) AS (SELECT min(demand) FROM {lines} UNION ALL"
    " SELECT (SELECT min(demand) FROM {lines} WHERE demand > found.demand) FROM found"
    " WHERE found.demand IS NOT NULL) SELECT demand FROM found WHERE demand IS NOT NULL"
)
_FREE: Final = (
    "INSERT INTO gpus (key, freed_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET freed_at = excluded.freed_at"
)


class Gpus:
    """The GPUs of all servers.

    Args:
        transaction: a connection inside a transaction; one that may write, to give back and to remember.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._transaction = transaction
        self._execute = transaction.execute

    def allocator(self, look: GpuReading | None, limits: Limits, now: float) -> Allocator:
        """Return the GPUs of a server, with all that is known of them."""
        return Allocator(look, self.leases(), self.freed_at(), limits.rules, limits.owns, now)

    def leases(self) -> list[Lease]:
        """Return the slots of GPUs that running runs have, of all servers."""
        return [
            Lease(
                run=run.id,
                key=gpu.key,
                label=gpu.label,
                memory=run.task.gpu_memory,
                started_at=run.started_at or 0.0,
            )
            for run in fetch_runs(self._transaction, _WITH_CARDS)
            for gpu in run.gpus
        ]

    def freed_at(self) -> dict[str, float]:
        """Return when each GPU, by its key, was last given back."""
        return dict(self._execute("SELECT key, freed_at FROM gpus").fetchall())

    def give_back(self, gpus: Sequence[Allocation], now: float) -> None:
        """Take note that nobody has these GPUs any more."""
        for gpu in gpus:
            self._execute(_FREE, (gpu.key, now))

    def reading(self, servers: Iterable[str] | None = None) -> GpuReading | None:
        """Return the latest look that one of these servers, or of all, took at the GPUs; None if none has."""
        which = "1" if servers is None else "id IN (SELECT value FROM json_each(:servers))"
        looks = [
            msgspec.json.decode(text, type=GpuReading)
            for (text,) in self._execute(
                f"SELECT look FROM servers WHERE look IS NOT NULL AND {which}", {"servers": as_json(servers or ())}
            )
        ]
        return max(looks, key=lambda look: look.began_at, default=None)

    def remember(self, look: GpuReading, server: str) -> None:
        """Remember what a server saw last, for those who ask why a run waits."""
        self._execute("UPDATE servers SET look = ? WHERE id = ?", (msgspec.json.encode(look).decode(), server))

    def set_aside(self, server: str, reservations: Sequence[Reservation]) -> None:
        """Remember what a server keeps for runs that wait, and nothing else."""
        text = as_json(reservations) if reservations else None
        self._execute("UPDATE servers SET set_aside = ? WHERE id = ? AND set_aside IS NOT ?", (text, server, text))

    def set_aside_by_others(self, server: str, now: float) -> list[Reservation]:
        """Return what other servers keep for runs that wait, in the order of their turns."""
        found: list[Reservation] = []
        for (text,) in self._execute(_RESERVATIONS, (server, now - _BELIEVED_SECONDS)):
            found += msgspec.json.decode(text, type=list[Reservation])
        queued = {id_ for (id_,) in self._execute(_QUEUED, (as_json({slot.run for slot in found}),))}
        return sorted((slot for slot in found if slot.run in queued), key=lambda slot: (slot.priority, slot.run))

    def demands(self, direct: bool = False) -> list[str]:
        """Return what the runs ask for that could be started, each once, as text."""
        return [demand for (demand,) in self._execute(_DEMANDS.format(lines=DIRECT if direct else LINES))]

    def waiting(self) -> list[tuple[int, str, GpuRequest]]:
        """Return the runs in line that ask for GPUs, by their ids: id, queue, and what each asks for."""
        known: dict[str, GpuRequest] = {}
        found = []
        for id_, queue, text in self._execute(_WAITING):
            if text not in known:
                known[text] = msgspec.json.decode(text, type=GpuRequest)
            found.append((id_, queue, known[text]))
        return found
