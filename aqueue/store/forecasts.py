"""The facts that starts and ends of runs are foretold from: last successes, and runs in line. Bounded reads."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Any, Final, NamedTuple

import msgspec

from aqueue.model.gpu import GpuRequest
from aqueue.model.run import State
from aqueue.policy.durations import Success
from aqueue.store.gpus import Gpus
from aqueue.store.rows import ENDED_BY_INDEX, IN_LINE, IS_SKIPPED

_SUCCESSES: Final = (
    "SELECT name, group_name, queue, took FROM runs INDEXED BY runs_ended"
    f" WHERE {ENDED_BY_INDEX} AND state = 'succeeded' ORDER BY finished_at DESC LIMIT ?"
)
_HEADS: Final = (
    "SELECT priority, turn, run, queue FROM heads WHERE gpu_request = ? ORDER BY priority, turn, run LIMIT ?"
)
_LINE: Final = (
    "SELECT priority, turn, id, name, group_name FROM runs INDEXED BY runs_in_line"
    f" WHERE {IN_LINE} AND queue = ? AND gpu_request = ? ORDER BY priority, turn, id LIMIT ?"
)
_GROUP: Final = (
    "SELECT state, count(*), sum(runs) FROM (SELECT state, max(iif(is_skipped, 0, id)), count(*) AS runs FROM"
    f" (SELECT id, state, name, {IS_SKIPPED} AS is_skipped FROM runs INDEXED BY runs_grouped"
    " WHERE group_name = ? ORDER BY name LIMIT ?) GROUP BY name) GROUP BY state"
)
_MAX_SUCCESSES: Final = 1000
_MAX_WAITING: Final = 500
_MAX_GROUP: Final = 10_000


class InLine(NamedTuple):
    """A run that may start as soon as it is its turn."""

    priority: int
    turn: float
    id: int
    name: str
    group: str | None
    queue: str
    gpu_request: GpuRequest | None


class _Line(msgspec.Struct):
    """The runs of a queue with the same request, in the order of their turns.

    Attributes:
        rows: those after the next one; None as long as none is read.
    """

    queue: str
    text: str
    request: GpuRequest | None
    rows: Iterator[Sequence[Any]] | None = None
    next: Sequence[Any] = ()


class Forecasts:
    """The facts for forecasts, of a bounded number of runs.

    Args:
        transaction: a connection inside a transaction.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._execute = transaction.execute
        self._gpus = Gpus(transaction)

    def successes(self) -> list[Success]:
        """Return the last successes of all runs, the last first."""
        return [Success._make(row) for row in self._execute(_SUCCESSES, (_MAX_SUCCESSES,)) if row[3] is not None]

    def in_line(self, most: int = _MAX_WAITING) -> list[InLine]:
        """Return the runs that have their turn first, in that order, at most so many."""
        # The first of each line, and the line itself once it is read; ids differ, so that no more is compared.
        firsts: list[tuple[int, float, int, _Line]] = []
        for text in self._gpus.gpu_requests():
            request = msgspec.json.decode(text, type=GpuRequest) if text else None
            for priority, turn, id_, queue in self._execute(_HEADS, (text, most)):
                firsts.append((priority, turn, id_, _Line(queue, text, request)))
        heapify(firsts)
        found: list[InLine] = []
        while firsts and len(found) < most:
            line = firsts[0][3]
            if line.rows is None:
                # Read only as far as it is needed.
                line.rows = self._execute(_LINE, (line.queue, line.text, most))
                line.next = next(line.rows)
            found.append(InLine._make((*line.next, line.queue, line.request)))
            if (row := next(line.rows, None)) is None:
                heappop(firsts)
                continue
            line.next = row
            heapreplace(firsts, (*row[:3], line))
        return found

    def states_of(self, group: str) -> Counter[State] | None:
        """Return how many runs of a group are in each state; of those with one name the newest counts.

        None for a group that is too large to be counted while somebody waits.
        """
        rows = self._execute(_GROUP, (group, _MAX_GROUP + 1)).fetchall()
        if sum(runs for _, _, runs in rows) > _MAX_GROUP:
            return None
        return Counter({State(state): count for state, count, _ in rows})
