"""What the store can be asked about GPUs: who has which, who waits, and what servers saw."""

from collections.abc import Iterable
from typing import Final

import msgspec

from aqueue.model.gpu import GpuReading, GpuRequest
from aqueue.policy.gpu_placement import Lease, Reservation
from aqueue.store.lines import Lines
from aqueue.store.runs import RUNS, as_json

_BELIEVED_SECONDS: Final = 60.0
"""How long a server without a sign of life is believed to start the runs that it keeps cards for."""

DIRECT: Final = (
    "(SELECT queue, demand, priority, id AS run FROM runs WHERE direct AND state = 'queued' AND ready_at IS NULL)"
)
"""In place of the heads of lines: all runs that do not stand in line."""


class GpuQueries(Lines):
    """Answers about cards, as it is at one moment.

    Args:
        connection: inside a transaction.
    """

    def leases(self) -> list[Lease]:
        """The slots of cards that running runs have, of all servers."""
        return [
            Lease(
                run=run.id,
                key=card.key,
                label=card.label,
                memory=run.task.gpu_memory,
                started_at=run.started_at or 0.0,
            )
            for run in self._runs(f"{RUNS} WHERE state = 'running' AND cards IS NOT NULL", ())
            for card in run.cards
        ]

    def freed_at(self) -> dict[str, float]:
        """When each card, by its key, was last given back."""
        return dict(self._execute("SELECT key, freed_at FROM cards").fetchall())

    def look(self, servers: Iterable[str] | None = None) -> GpuReading | None:
        """The latest look that one of these servers, or of all, took at the GPUs; None if none has."""
        which = "1" if servers is None else "id IN (SELECT value FROM json_each(:servers))"
        looks = [
            msgspec.json.decode(text, type=GpuReading)
            for (text,) in self._execute(
                f"SELECT look FROM servers WHERE look IS NOT NULL AND {which}", {"servers": as_json(servers or ())}
            )
        ]
        return max(looks, key=lambda look: look.began_at, default=None)

    def set_aside_by_others(self, server: str, now: float) -> list[Reservation]:
        """What other servers keep for runs that wait, in the order of their turns."""
        found: list[Reservation] = []
        for (text,) in self._execute(
            "SELECT set_aside FROM servers"
            " WHERE set_aside IS NOT NULL AND id <> ? AND leaving IS NULL AND heartbeat_at > ?",
            (server, now - _BELIEVED_SECONDS),
        ):
            found += msgspec.json.decode(text, type=list[Reservation])
        waiting = self._execute(
            "SELECT id FROM runs WHERE state = 'queued' AND id IN (SELECT value FROM json_each(?))",
            (as_json({slot.run for slot in found}),),
        )
        queued = {id_ for (id_,) in waiting}
        return sorted((slot for slot in found if slot.run in queued), key=lambda slot: (slot.priority, slot.run))

    def demands(self, direct: bool = False) -> list[str]:
        """What the runs ask for that could be started, each once, as text."""
        lines = DIRECT if direct else "heads"
        rows = self._execute(
            f"WITH RECURSIVE found (demand) AS (SELECT min(demand) FROM {lines} UNION ALL"
            f" SELECT (SELECT min(demand) FROM {lines} WHERE demand > found.demand) FROM found"
            " WHERE found.demand IS NOT NULL) SELECT demand FROM found WHERE demand IS NOT NULL"
        )
        return [demand for (demand,) in rows]

    def waiting_for_cards(self) -> list[tuple[int, str, GpuRequest]]:
        """The runs in line that ask for cards, in the order of their ids: id, queue, and what each asks for."""
        known: dict[str, GpuRequest] = {}
        found = []
        for id_, queue, text in self._execute(
            "SELECT id, queue, demand FROM runs INDEXED BY runs_in_line"
            " WHERE state = 'queued' AND ready_at IS NULL AND demand <> '' ORDER BY id"
        ):
            if text not in known:
                known[text] = msgspec.json.decode(text, type=GpuRequest)
            found.append((id_, queue, known[text]))
        return found
