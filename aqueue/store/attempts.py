"""Attempts: a row for each from its claim on, with its executor and the executor's handle."""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, Usage
from aqueue.store.rows import gpus_as_text

_BEGIN: Final = "INSERT INTO attempts (run, number, started_at, gpus, executor) VALUES (?, ?, ?, ?, ?)"
_USAGE: Final = Usage.__struct_fields__
_END: Final = (
    "UPDATE attempts SET finished_at = ?, exit_code = ?, signal = ?, reason = ?,"
    f" {', '.join(f'{column} = ?' for column in _USAGE)} WHERE run = ? AND number = ?"
)
_FORGET: Final = "DELETE FROM attempts WHERE run = ? AND number = ?"
_RECORD_HANDLE: Final = "UPDATE attempts SET handle = ? WHERE run = ? AND number = ?"
_EXECUTOR: Final = "SELECT executor FROM attempts WHERE run = ? AND number = ?"
_HANDLE: Final = "SELECT handle FROM attempts WHERE run = ? AND number = ?"


class Handle(NamedTuple):
    """An executor's name for an attempt, by which it finds the attempt again."""

    text: str
    run: int
    number: int


class Attempts:
    """The attempts of runs.

    Args:
        transaction: a connection inside a transaction; a writing one for all changes.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._execute = transaction.execute
        self._execute_many = transaction.executemany

    def begin(self, run: Run, executor: str) -> None:
        """Add the attempt of a newly claimed run.

        Args:
            executor: the name of its executor.
        """
        self._execute(_BEGIN, (run.id, run.attempt, run.started_at, gpus_as_text(run.gpus), executor))

    def record_handles(self, handles: Iterable[Handle]) -> None:
        """Record the handles of attempts."""
        self._execute_many(_RECORD_HANDLE, handles)

    def executor(self, run: Run) -> str | None:
        """Return the name of the executor of a run's last attempt; None if there is no attempt."""
        found = self._execute(_EXECUTOR, (run.id, run.attempt)).fetchone()
        return found[0] if found else None

    def handle(self, run: Run) -> str | None:
        """Return the handle of a run's last attempt, for its executor; None if none is recorded."""
        found = self._execute(_HANDLE, (run.id, run.attempt)).fetchone()
        return found[0] if found else None

    def end(self, outcome: Outcome, reason: str | None) -> None:
        """Record the end of an attempt; remove one that never started.

        Args:
            reason: why it ended; None if it succeeded.
        """
        run = outcome.run
        if outcome.end is End.NEVER_STARTED:
            self._execute(_FORGET, (run.id, run.attempt))
            return
        usage = msgspec.structs.astuple(outcome.usage)
        self._execute(_END, (outcome.at, outcome.exit_code, outcome.signal, reason, *usage, run.id, run.attempt))
