"""Attempts: a row for each, from its claim on, with its executor and that executor's handle of it."""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.store.rows import gpus_as_text

_BEGIN: Final = "INSERT INTO attempts (run, number, started_at, gpus, executor) VALUES (?, ?, ?, ?, ?)"
_END: Final = (
    "UPDATE attempts SET finished_at = ?, exit_code = ?, signal = ?, reason = ? WHERE run = ? AND number = ?"
)
_FORGET: Final = "DELETE FROM attempts WHERE run = ? AND number = ?"
_NOTE: Final = "UPDATE attempts SET handle = ? WHERE run = ? AND number = ?"
_HANDLE: Final = "SELECT handle FROM attempts WHERE run = ? AND number = ? AND executor = ?"


class Handle(NamedTuple):
    """The name by which an executor finds an attempt again."""

    text: str
    run: int
    number: int


class Attempts:
    """The starts of runs.

    Args:
        transaction: a connection inside a transaction; one that may write, for all that changes something.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._execute = transaction.execute
        self._execute_many = transaction.executemany

    def begin(self, run: Run, executor: str) -> None:
        """Add the attempt of a run that is claimed now.

        Args:
            executor: names who is to run it.
        """
        self._execute(_BEGIN, (run.id, run.attempt, run.started_at, gpus_as_text(run.gpus), executor))

    def note(self, handles: Iterable[Handle]) -> None:
        """Record handles of attempts that have begun."""
        self._execute_many(_NOTE, handles)

    def handle(self, run: Run, executor: str) -> str | None:
        """Return the handle of a run's last attempt; None if none is recorded, or it is another executor's."""
        found = self._execute(_HANDLE, (run.id, run.attempt, executor)).fetchone()
        return found[0] if found else None

    def end(self, outcome: Outcome, reason: str | None) -> None:
        """Record how an attempt ended; one that never started is forgotten.

        Args:
            reason: why it ended so; None if there is nothing to say.
        """
        run = outcome.run
        if outcome.end is End.NEVER_STARTED:
            self._execute(_FORGET, (run.id, run.attempt))
            return
        self._execute(_END, (outcome.at, outcome.exit_code, outcome.signal, reason, run.id, run.attempt))
