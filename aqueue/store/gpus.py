"""GPUs: the runs that use or wait for them, and the readings and reservations of servers."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from aqueue.model.gpu import Allocation, GpuReading, GpuRequest
from aqueue.policy.gpu_leases import Lease, Reservation
from aqueue.policy.gpu_placement import Allocator
from aqueue.policy.limits import Limits
from aqueue.store.rows import IN_LINE, RUNS, as_json, fetch_runs

_BELIEVED_SECONDS: Final = 60.0
"""The seconds for which the reservations of a server without a heartbeat count."""

LINES: Final = "heads"
"""The table with the first run of each line."""

DIRECT: Final = f"(SELECT queue, gpu_request, priority, turn, id AS run FROM runs WHERE direct AND {IN_LINE})"
"""All direct runs, which stand in no line, in place of `heads`."""

_WITH_GPUS: Final = f"{RUNS} WHERE state = 'running' AND gpus IS NOT NULL"
_RESERVATIONS: Final = (
    "SELECT reservations FROM servers"
    " WHERE reservations IS NOT NULL AND id <> ? AND leaving IS NULL AND heartbeat_at > ?"
)
_QUEUED: Final = "SELECT id FROM runs WHERE state = 'queued' AND id IN (SELECT value FROM json_each(?))"
_WAITING: Final = (
    "SELECT id, queue, gpu_request FROM runs INDEXED BY runs_in_line"
    f" WHERE {IN_LINE} AND gpu_request <> '' ORDER BY id"
)
_GPU_REQUESTS: Final = (
    "WITH RECURSIVE found (gpu_request) AS (SELECT min(gpu_request) FROM {lines} UNION ALL"
    " SELECT (SELECT min(gpu_request) FROM {lines} WHERE gpu_request > found.gpu_request) FROM found"
    " WHERE found.gpu_request IS NOT NULL) SELECT gpu_request FROM found WHERE gpu_request IS NOT NULL"
)
_FREE: Final = (
    "INSERT INTO gpus (key, freed_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET freed_at = excluded.freed_at"
)


class Gpus:
    """The GPUs of all servers.

    Args:
        transaction: a connection inside a transaction; a writing one for all changes.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._transaction = transaction
        self._execute = transaction.execute

    def allocator(self, reading: GpuReading | None, limits: Limits, now: float) -> Allocator:
        """Return the allocator of a server's GPUs."""
        return Allocator(reading, self.leases(), self.freed_at(), limits.rules, limits.owns, now)

    def leases(self) -> list[Lease]:
        """Return the slots of GPUs in use by runs of all servers."""
        return [
            Lease(
                run=run.id,
                key=gpu.key,
                label=gpu.label,
                memory=run.task.gpu_memory,
                started_at=run.started_at or 0.0,
            )
            for run in fetch_runs(self._transaction, _WITH_GPUS)
            for gpu in run.gpus
        ]

    def freed_at(self) -> dict[str, float]:
        """Return when each GPU, by its key, was last freed."""
        return dict(self._execute("SELECT key, freed_at FROM gpus").fetchall())

    def give_back(self, gpus: Sequence[Allocation], now: float) -> None:
        """Record that a run has freed these GPUs."""
        for gpu in gpus:
            self._execute(_FREE, (gpu.key, now))

    def reading(self, servers: Iterable[str] | None = None) -> GpuReading | None:
        """Return the latest reading by one of these servers, or by any; None if there is none."""
        which = "1" if servers is None else "id IN (SELECT value FROM json_each(:servers))"
        readings = [
            msgspec.json.decode(text, type=GpuReading)
            for (text,) in self._execute(
                f"SELECT reading FROM servers WHERE reading IS NOT NULL AND {which}",
                {"servers": as_json(servers or ())},
            )
        ]
        return max(readings, key=lambda reading: reading.began_at, default=None)

    def remember(self, reading: GpuReading, server: str) -> None:
        """Record a server's latest reading, for the reasons why runs wait."""
        self._execute(
            "UPDATE servers SET reading = ? WHERE id = ?", (msgspec.json.encode(reading).decode(), server)
        )

    def reserve(self, server: str, reservations: Sequence[Reservation]) -> None:
        """Replace the reservations of a server for waiting runs."""
        text = as_json(reservations) if reservations else None
        self._execute(
            "UPDATE servers SET reservations = ? WHERE id = ? AND reservations IS NOT ?", (text, server, text)
        )

    def reservations_of_others(self, server: str, now: float) -> list[Reservation]:
        """Return the reservations of other servers for waiting runs, in the order of their turns."""
        found: list[Reservation] = []
        for (text,) in self._execute(_RESERVATIONS, (server, now - _BELIEVED_SECONDS)):
            found += msgspec.json.decode(text, type=list[Reservation])
        queued = {id_ for (id_,) in self._execute(_QUEUED, (as_json({reservation.run for reservation in found}),))}
        return sorted(
            (reservation for reservation in found if reservation.run in queued),
            key=lambda reservation: (reservation.priority, reservation.turn, reservation.run),
        )

    def gpu_requests(self, direct: bool = False) -> list[str]:
        """Return the GPU requests of startable runs as text, each once."""
        return [
            gpu_request
            for (gpu_request,) in self._execute(_GPU_REQUESTS.format(lines=DIRECT if direct else LINES))
        ]

    def waiting(self) -> list[tuple[int, str, GpuRequest]]:
        """Return id, queue and request of each run in line that requests GPUs, by id."""
        known: dict[str, GpuRequest] = {}
        found = []
        for id_, queue, text in self._execute(_WAITING):
            if text not in known:
                known[text] = msgspec.json.decode(text, type=GpuRequest)
            found.append((id_, queue, known[text]))
        return found
