"""Snapshots: the git references that keep the code of runs."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from aqueue.model.task import Snapshot
from aqueue.store.rows import as_json

_USE: Final = (
    "UPDATE snapshots SET used_at = ? WHERE code = ? AND repository = ? AND used_at IS NOT NULL RETURNING ref"
)
_ADD: Final = "INSERT INTO snapshots (ref, repository, code, used_at) VALUES (?, ?, ?, ?)"
_LEAVE_TO_RUNS: Final = "UPDATE snapshots SET used_at = 0 WHERE code = ? AND used_at > 0"
_DOOM: Final = (
    "UPDATE snapshots SET used_at = NULL"
    " WHERE used_at < ? AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.code = snapshots.code)"
)
_DOOMED: Final = "SELECT ref, repository FROM snapshots WHERE used_at IS NULL"
_FORGET: Final = "DELETE FROM snapshots WHERE ref IN (SELECT value FROM json_each(?))"


class Snapshots:
    """The references to the code of runs.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._execute = transaction.execute

    def use(self, snapshot: Snapshot, ref: str, now: float) -> str:
        """Record that a snapshot is about to be used.

        Args:
            ref: the reference to record if the snapshot has none.

        Returns:
            the reference that keeps the snapshot; it may not be in the repository yet.
        """
        known: tuple[str] | None = self._execute(_USE, (now, snapshot.commit, snapshot.repository)).fetchone()
        if known is not None:
            return known[0]
        self._execute(_ADD, (ref, snapshot.repository, snapshot.commit, now))
        return ref

    def leave_to_runs(self, commits: Iterable[str]) -> None:
        """Record that these snapshots are needed only as long as their runs exist."""
        for commit in commits:
            self._execute(_LEAVE_TO_RUNS, (commit,))

    def unused(self, before: float) -> list[tuple[str, str]]:
        """Return the references to remove, each with its repository.

        Args:
            before: only references last used before this time, and by no run.
        """
        self._execute(_DOOM, (before,))
        return self._execute(_DOOMED).fetchall()

    def forget(self, refs: Iterable[str]) -> None:
        """Forget removed references."""
        self._execute(_FORGET, (as_json(refs),))
