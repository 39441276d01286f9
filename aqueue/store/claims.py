"""Claims: the statements that assign runs and their GPUs to a server. `turns` says which run is next."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from aqueue.model.claim import NO_VIEW, ClaimResult, GpuView
from aqueue.model.gpu import Allocation, GpuReading
from aqueue.model.run import Run
from aqueue.policy.gpu_leases import Reservation
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.gpu_placement import Allocator, Placed, with_doubts
from aqueue.policy.limits import Limits, Usage
from aqueue.store.attempts import Attempts
from aqueue.store.gpus import Gpus
from aqueue.store.queues import Queues
from aqueue.store.rows import RUN, fetch_runs, gpus_as_text
from aqueue.store.turns import Supply, Turn, Turns, first_in_line

_CLAIM: Final = (
    "UPDATE runs SET state = 'running', reason = NULL, attempt = attempt + 1, ready_at = NULL,"
    " started_at = ?, finished_at = NULL, exit_code = NULL, signal = NULL, server = ?, gpus = ?,"
    " took = NULL"
    f" WHERE id = ? RETURNING {RUN}"
)
_READY: Final = "state = 'queued' AND ready_at IS NOT NULL AND ready_at <= ?"
_LINE_UP: Final = f"UPDATE runs SET ready_at = NULL WHERE {_READY}"
_IS_LEAVING_IS_READY: Final = (
    "SELECT EXISTS (SELECT 1 FROM servers WHERE id = ? AND leaving IS NOT NULL),"
    f" EXISTS (SELECT 1 FROM runs WHERE {_READY})"
)
_ASKS_FOR_GPUS: Final = "SELECT EXISTS (SELECT 1 FROM heads WHERE gpu_request > '')"


class Claims:
    """The assignment of runs to servers.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(self, transaction: sqlite3.Connection, attempts: Attempts, queues: Queues, gpus: Gpus) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._attempts = attempts
        self._queues = queues
        self._gpus = gpus

    def claim(
        self, server: str, limits: Limits, now: float, view: GpuView = NO_VIEW, *, executor: str = "local"
    ) -> ClaimResult:
        """Claim for `server` the runs that may start now, with their GPUs; none once it is asked to leave.

        Args:
            executor: the name of the executor that runs them.
        """
        result = self._claim_all(server, limits, now, view)
        for run in result.runs:
            self._attempts.begin(run, executor)
        return result

    def _claim_all(self, server: str, limits: Limits, now: float, view: GpuView) -> ClaimResult:
        is_leaving, is_ready = self._execute(_IS_LEAVING_IS_READY, (server, now)).fetchone()
        if is_leaving:
            # The server may not have read this yet.
            return ClaimResult([], view.reading)
        if is_ready:
            # The query above takes a quarter of the time of an update that changes nothing.
            self._execute(_LINE_UP, (now,))
        usage = self._queues.usage(server, limits)
        reading = self._remember_reading(server, view, limits, now) if view.is_news else view.reading
        (asks_for_gpus,) = self._execute(_ASKS_FOR_GPUS).fetchone()
        if not asks_for_gpus and not limits.disabled_by:
            return ClaimResult(self._claim_without_gpus(server, limits, usage, now), reading)
        allocator = self._gpus.allocator(reading, limits, now)
        supply = Supply(limits, usage, allocator, self._gpus.reservations_of_others(server, now))
        return self._claim_with_gpus(server, supply, now, reading, keeps_slots=view.is_prompt)

    def preview(self, server: str, limits: Limits, allocator: Allocator, now: float) -> Iterator[Turn]:
        """Yield the turns of `server` for runs that request GPUs, one for each request; claims nothing."""
        usage, others = self._queues.usage(server, limits), self._gpus.reservations_of_others(server, now)
        return iter(Turns(self._transaction, Supply(limits, usage, allocator, others), is_preview=True))

    def _claim_with_gpus(
        self, server: str, supply: Supply, now: float, reading: GpuReading | None, *, keeps_slots: bool
    ) -> ClaimResult:
        claimed: list[Run] = []
        blocked: list[Blocked] = []
        lacking: list[tuple[int, str]] = []
        reservations: list[Reservation] = []
        # While queues are enabled, direct runs wait for their turn like all others.
        for direct in (True, False) if supply.limits.disabled_by else (False,):
            for turn in Turns(self._transaction, supply, direct=direct, keeps_slots=keeps_slots):
                if isinstance(turn.found, Placed):
                    allocations = [gpu.allocation for gpu in turn.found.gpus]
                    claimed.append(self._claim(server, turn.run, allocations, now))
                    continue
                blocked.append(turn.found)
                if turn.asked is not None:
                    reservations += supply.allocator.reservations_for(
                        turn.run, turn.priority, turn.turn, turn.asked
                    )
                if turn.found.lack:
                    lacking.append((turn.run, turn.found.lack))
        self._gpus.reserve(server, reservations)
        return ClaimResult(
            claimed,
            reading,
            needs_reading=any(found.needs_reading for found in blocked),
            is_vetoed=any(found.is_vetoed for found in blocked),
            lacking=tuple(lacking),
        )

    def _claim_without_gpus(self, server: str, limits: Limits, usage: Usage, now: float) -> list[Run]:
        """Claim as `Turns` would, but with fewer statements, when no run requests GPUs."""
        claimed: list[Run] = []
        while (openings := usage.openings(limits)).any:
            first = first_in_line(self._transaction, "", openings)
            if first is None:
                break
            _, _, run, queue = first
            claimed.append(self._claim(server, run, (), now))
            usage.add(queue, limits)
        return claimed

    def _claim(self, server: str, run: int, gpus: Sequence[Allocation], now: float) -> Run:
        (claimed,) = fetch_runs(self._transaction, _CLAIM, (now, server, gpus_as_text(gpus), run))
        return claimed

    def _remember_reading(self, server: str, view: GpuView, limits: Limits, now: float) -> GpuReading | None:
        """Record a new reading of the GPUs, for the reasons why runs wait."""
        if view.reading is None:
            return None
        reading = with_doubts(view.reading, view.previous, self._gpus.allocator(view.reading, limits, now))
        self._gpus.remember(reading, server)
        return reading
