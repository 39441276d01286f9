"""The facts that starts and ends of runs are foretold from: last successes, and runs in line. Bounded reads."""

import sqlite3
from collections import Counter
from typing import Final, NamedTuple

import msgspec

from aqueue.model.gpu import GpuRequest
from aqueue.model.run import State
from aqueue.policy.durations import Success
from aqueue.store.gpus import Gpus
from aqueue.store.rows import ENDED_BY_INDEX, IN_LINE

_SUCCESSES: Final = (
    "SELECT name, group_name, queue, took FROM runs INDEXED BY runs_ended"
    f" WHERE {ENDED_BY_INDEX} AND state = 'succeeded' ORDER BY finished_at DESC LIMIT ?"
)
_HEADS: Final = "SELECT priority, run, queue FROM heads WHERE gpu_request = ? ORDER BY priority, run LIMIT ?"
_LINE: Final = (
    "SELECT priority, id, name, group_name FROM runs INDEXED BY runs_in_line"
    f" WHERE {IN_LINE} AND queue = ? AND gpu_request = ? ORDER BY priority, id LIMIT ?"
)
_GROUP: Final = (
    "SELECT state, count(*), sum(runs) FROM (SELECT state, max(id), count(*) AS runs FROM"
    " (SELECT id, state, name FROM runs INDEXED BY runs_grouped WHERE group_name = ? ORDER BY name LIMIT ?)"
    " GROUP BY name) GROUP BY state"
)
_MAX_SUCCESSES: Final = 1000
_MAX_WAITING: Final = 500
_LEAST_OF_LINE: Final = 4
_MAX_GROUP: Final = 10_000


class InLine(NamedTuple):
    """A run that may start as soon as it is its turn."""

    priority: int
    id: int
    name: str
    group: str | None
    queue: str
    gpu_request: GpuRequest | None


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
        """Return the runs that have their turn first, in that order and without a gap.

        Args:
            most: about how many there are at most.
        """
        requests = self._gpus.gpu_requests()
        heads = {text: self._execute(_HEADS, (text, most)).fetchall() for text in requests}
        lines = sum(map(len, heads.values()))
        of_line = max(most // max(lines, 1), _LEAST_OF_LINE)
        found: list[InLine] = []
        # The last of each line that may go on: whatever comes later is not known in full.
        horizon = [firsts[-1][:2] for firsts in heads.values() if len(firsts) == most]
        for text, firsts in heads.items():
            request = msgspec.json.decode(text, type=GpuRequest) if text else None
            for _, _, queue in firsts:
                rows = self._execute(_LINE, (queue, text, of_line)).fetchall()
                found += [InLine._make((*row, queue, request)) for row in rows]
                horizon += [rows[-1][:2]] if len(rows) == of_line else []
        found.sort(key=lambda run: run[:2])
        last = min(horizon, default=None)
        return found if last is None else [run for run in found if run[:2] <= last]

    def states_of(self, group: str) -> Counter[State] | None:
        """Return how many runs of a group are in each state; of runs with one name, only the newest counts.

        None for a group that is too large to be counted while somebody waits.
        """
        rows = self._execute(_GROUP, (group, _MAX_GROUP + 1)).fetchall()
        if sum(runs for _, _, runs in rows) > _MAX_GROUP:
            return None
        return Counter({State(state): count for state, count, _ in rows})
