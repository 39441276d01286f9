"""Places in line: the statements that move waiting runs before or after others.

The place of a run is its id, unless it was moved: then it is a number between those of its new neighbours. Places
are compared among all runs that wait, in whatever queue, and among runs with the same priority only.
"""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from aqueue.errors import RunError
from aqueue.model.run import Run, State
from aqueue.store.lifecycle import require
from aqueue.store.rows import as_json, in_states

_OTHERS: Final = in_states(
    "turn, id", (State.QUEUED, State.HELD), "id NOT IN (SELECT value FROM json_each(:moved))"
)
_LOWEST: Final = f"SELECT min(turn) FROM ({_OTHERS})"
_HIGHEST: Final = f"SELECT max(turn) FROM ({_OTHERS})"
_BEFORE: Final = f"SELECT max(turn) FROM ({_OTHERS}) WHERE turn < :turn"
_AFTER: Final = f"SELECT min(turn) FROM ({_OTHERS}) WHERE turn > :turn"
_NEXT_ID: Final = "SELECT max(seq) + 1 FROM sqlite_sequence WHERE name = 'runs'"
_LEAVE_LINE: Final = "UPDATE runs SET state = 'held' WHERE id = ?"
_SET_PLACE: Final = "UPDATE runs SET place = ? WHERE id = ?"
_JOIN_LINE: Final = "UPDATE runs SET state = 'queued' WHERE id = ?"
_MAKE_ROOM: Final = (
    f"UPDATE runs SET place = turn - :by WHERE id IN (SELECT id FROM ({_OTHERS}) WHERE turn <= :turn)"
)
_CORRECT_HEADS: Final = "UPDATE heads SET turn = (SELECT turn FROM runs WHERE id = run)"


class Places:
    """The places of waiting runs.

    Each method keeps the given order of the runs that it moves.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._execute = transaction.execute

    def move_first(self, runs: Sequence[Run]) -> None:
        """Move runs before all others.

        Raises:
            RunError: one of them does not wait.
        """
        self._move(runs, None, self._one(_LOWEST, runs))

    def move_last(self, runs: Sequence[Run]) -> None:
        """Move runs after all others that wait now.

        Raises:
            RunError: one of them does not wait.
        """
        self._move(runs, self._one(_HIGHEST, runs), None)

    def move_before(self, runs: Sequence[Run], other: Run) -> None:
        """Move runs right before another.

        Raises:
            RunError: one of them does not wait, is the other, or goes after it because of its priority.
        """
        _check_other(runs, other, is_before=True)
        self._move(runs, self._one(_BEFORE, runs, other.turn), other.turn)

    def move_after(self, runs: Sequence[Run], other: Run) -> None:
        """Move runs right after another.

        Raises:
            RunError: one of them does not wait, is the other, or goes before it because of its priority.
        """
        _check_other(runs, other, is_before=False)
        self._move(runs, other.turn, self._one(_AFTER, runs, other.turn))

    def _move(self, runs: Sequence[Run], low: float | None, high: float | None) -> None:
        """Give runs places between two others; None: there is none on that side."""
        for run in runs:
            require(run, "moved", State.QUEUED, State.HELD)
        if high is None:
            # That of the next new run.
            (high,) = self._execute(_NEXT_ID).fetchone()
        places = _places(low, high, len(runs))
        if low is not None and any(one >= two for one, two in pairwise((low, *places, high))):
            # Numbers have an end: after many moves to one place, there is no other between two of them.
            by = len(runs) + 1
            self._execute(_MAKE_ROOM, {"by": by, "turn": low, "moved": as_json(run.id for run in runs)})
            self._execute(_CORRECT_HEADS)
            places = _places(low - by, high, len(runs))
        for run, place in zip(runs, places, strict=True):
            if run.state is State.QUEUED:
                self._execute(_LEAVE_LINE, (run.id,))
            self._execute(_SET_PLACE, (place, run.id))
            if run.state is State.QUEUED:
                self._execute(_JOIN_LINE, (run.id,))

    def _one(self, statement: str, moved: Sequence[Run], turn: float | None = None) -> float | None:
        values = {"moved": as_json(run.id for run in moved), "turn": turn}
        found: tuple[float | None] = self._execute(statement, values).fetchone()
        return found[0]


def _places(low: float | None, high: float, count: int) -> list[float]:
    """Return places between two numbers, at equal distances.

    >>> _places(1, 2, 1), _places(None, 5, 2)
    ([1.5], [3, 4])
    """
    if low is None:
        return [high - count + number for number in range(count)]
    return [low + (high - low) * number / (count + 1) for number in range(1, count + 1)]


def _check_other(runs: Sequence[Run], other: Run, *, is_before: bool) -> None:
    require(other, "moved to", State.QUEUED, State.HELD)
    for run in runs:
        if run.id == other.id:
            raise RunError(f"run {run.id} cannot be moved before or after itself", "name another run")
        if run.priority != other.priority and is_before == (run.priority > other.priority):
            low, high = (run, other) if is_before else (other, run)
            raise RunError(
                f"run {run.id} cannot be moved {'before' if is_before else 'after'} run {other.id}:"
                f" {_goes_first(high, low)}",
                f"give run {low.id} a higher priority first: `aqueue edit {low.id} --priority high`",
            )


def _goes_first(high: Run, low: Run) -> str:
    if high.priority.word != low.priority.word:
        return f"run {high.id} has priority {high.priority.word}, and goes first"
    return f"run {low.id} makes up for a missed time, and goes after those that are due now"
