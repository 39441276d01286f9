"""Dependencies: the statements that make runs wait for prerequisites, make them ready, and abort them.

The prerequisites of a task become a set when the task is accepted, and all of its runs refer to that set. They
wait (`NOT_YET`) until every run of the set has ended. When a run ends, the same transaction decrements the count
of each set it is in; at zero, the runs that refer to the set are ready. If a prerequisite does not succeed, they
are aborted, unless `after_any` applies, and so are their own dependents.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from aqueue.errors import RunError
from aqueue.model.run import NOT_YET, SKIPPED, Run, State
from aqueue.store.rows import IS_OVER, RUN, RUNS, WAITING, as_json, fetch_run, fetch_runs
from aqueue.store.runs import Runs

_GROUP: Final = "group:"

_ADD_PREREQUISITES: Final = (
    "INSERT OR IGNORE INTO prerequisite_runs (prerequisites, run) SELECT ?, value FROM json_each(?)"
)
_COUNT_UNMET: Final = (
    "UPDATE prerequisites SET unmet = (SELECT count(*) FROM prerequisite_runs JOIN runs ON runs.id = run"
    f" WHERE prerequisite_runs.prerequisites = :id AND NOT {IS_OVER})"
    " WHERE id = :id RETURNING unmet"
)
_CHANGE_UNMET: Final = "UPDATE prerequisites SET unmet = unmet + ? WHERE id = ? RETURNING unmet"
_OF_SET: Final = f"{RUNS} WHERE id IN (SELECT run FROM prerequisite_runs WHERE prerequisites = ?) ORDER BY id"
_SETS_WITH: Final = (
    "SELECT p.id, after_any FROM prerequisite_runs JOIN prerequisites AS p ON p.id = prerequisites WHERE run = ?"
)
_FAILED: Final = (
    f"{RUNS} WHERE state IN ('failed', 'aborted') AND id IN (SELECT run FROM prerequisite_runs"
    " JOIN prerequisites AS p ON p.id = prerequisites WHERE p.id = ? AND NOT after_any)"
    " ORDER BY id LIMIT 1"
)
_DEPENDENTS: Final = (
    # From set to set, not from run to run: between two large sweeps there are too many pairs of runs.
    "WITH RECURSIVE doomed (id) AS ("
    "SELECT p.id FROM prerequisite_runs AS m JOIN prerequisites AS p ON p.id = m.prerequisites"
    " WHERE m.run IN (SELECT value FROM json_each(:ids)) AND NOT after_any"
    " UNION SELECT p.id FROM doomed"
    f" CROSS JOIN runs ON runs.prerequisites = doomed.id AND {WAITING}"
    " CROSS JOIN prerequisite_runs AS m ON m.run = runs.id"
    " CROSS JOIN prerequisites AS p ON p.id = m.prerequisites AND NOT after_any)"
    f" {RUNS} WHERE prerequisites IN (SELECT id FROM doomed) AND {WAITING}"
    " AND id NOT IN (SELECT value FROM json_each(:ids)) ORDER BY id"
)
_ABORT: Final = (
    "UPDATE runs SET state = 'aborted', was_held = (state = 'held'), reason = :reason, finished_at = :now,"
    f" before_retry = NULL WHERE prerequisites = :id AND {WAITING} RETURNING {RUN}"
)
_UNBLOCK: Final = f"UPDATE runs SET ready_at = NULL WHERE prerequisites = :id AND {WAITING} RETURNING id"
_WAIT_AGAIN: Final = "UPDATE runs SET ready_at = ? WHERE prerequisites = ? AND state IN ('queued', 'held')"
_RESTORE: Final = (
    "UPDATE runs SET state = iif(was_held, 'held', 'queued'), reason = NULL, finished_at = NULL,"
    " failures = 0, losses = 0 WHERE prerequisites = ? AND state = 'aborted' AND ready_at = ?"
    " RETURNING id"
)


class Dependencies:
    """Dependencies between runs.

    Args:
        transaction: a connection inside a transaction; one that may write, for all that changes something.
    """

    def __init__(self, transaction: sqlite3.Connection, runs: Runs) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._runs = runs
        self.aborted: list[Run] = []
        """The runs aborted in this transaction because of a prerequisite."""
        self.unblocked: set[int] = set()
        """The runs that became ready in this transaction because their prerequisites are met."""
        self.restored: set[int] = set()
        """The aborted runs that this transaction made wait for their prerequisites again."""
        self._reopened: set[int] = set()
        """The sets with a run that was queued again, for `restore_aborted`."""

    # Queries

    def resolve(self, written: str) -> list[int]:
        """Return the ids of the runs that an entry of `after` refers to.

        Args:
            written: a run as in commands; a name, for its newest run; or `group:NAME`, for the newest run of each
                name in that group.

        Raises:
            RunError: there is no such run or group.
        """
        if written.startswith(_GROUP):
            name = written.removeprefix(_GROUP)
            found = self._runs.newest_of_group(name)
            if not found:
                raise RunError(f"there is no group {name}", "`aqueue ls` lists the runs")
            return found
        if (newest := self._runs.newest(written)) is not None:
            return [newest]
        try:
            return [self._runs.resolve(written).id]
        except RunError as error:
            if written in self._runs.groups():
                raise RunError(error.message, f"it is a group: write {_GROUP}{written}") from None
            raise

    def prerequisites(self, run: Run) -> list[Run]:
        """Return the prerequisites of a run."""
        return fetch_runs(self._transaction, _OF_SET, (run.prerequisites,))

    def dependents(self, runs: Iterable[Run]) -> list[Run]:
        """Return all other runs that are aborted if these do not succeed."""
        values = {"ids": as_json(run.id for run in runs), "not_yet": NOT_YET}
        return fetch_runs(self._transaction, _DEPENDENTS, values)

    def is_prerequisite(self, run: Run) -> bool:
        """Return True if other runs depend on a run."""
        return bool(self._sets_with(run.id))

    def has_unmet_prerequisites(self, run: Run) -> bool:
        """Return True if a prerequisite of a run is not over, perhaps after a retry, or did not succeed."""
        if run.prerequisites is None:
            return False
        return self._unmet_in(run.prerequisites) > 0 or self.failed_in(run.prerequisites) is not None

    def ready_at(self, run: Run, failures: dict[int, Run | None]) -> float | None:
        """Return when the prerequisites of a run let it start once it is queued again.

        Args:
            failures: a cache of a failed run of each set, or None; updated.

        Raises:
            RunError: a prerequisite did not succeed.
        """
        if run.prerequisites is None:
            return None
        if run.prerequisites not in failures:
            failures[run.prerequisites] = self.failed_in(run.prerequisites)
        failed = failures[run.prerequisites]
        if failed is not None:
            raise RunError(
                f"run {run.id} cannot be retried: it comes after run {failed.id} {failed.name},"
                f" which is {failed.state}",
                f"retry both: `aqueue retry {failed.id} {run.id}`",
            )
        return NOT_YET if self._unmet_in(run.prerequisites) else None

    def failed_in(self, prerequisites: int) -> Run | None:
        """Return a run of a set that aborts its dependents; None if there is none."""
        return fetch_run(self._transaction, _FAILED, (prerequisites,))

    def is_met_by_any_end(self, run: Run) -> bool:
        """Return True if a run starts however its prerequisites end."""
        found = self._execute("SELECT after_any FROM prerequisites WHERE id = ?", (run.prerequisites,)).fetchone()
        return found is not None and bool(found[0])

    # Sets of prerequisites

    def add_set(self, runs: Collection[int], *, after_any: bool) -> int:
        """Add a set of prerequisites.

        Args:
            runs: the ids of its runs; `add_prerequisites` adds more.
            after_any: whether the set is met however its runs end.

        Returns:
            its id, for `update_waiting` once the set is complete.
        """
        (set_,) = self._execute(
            "INSERT INTO prerequisites (after_any) VALUES (?) RETURNING id", (after_any,)
        ).fetchone()
        self.add_prerequisites(runs, set_)
        return int(set_)

    def add_prerequisites(self, runs: Iterable[int], prerequisites: int) -> None:
        """Add runs to a set of prerequisites."""
        self._execute(_ADD_PREREQUISITES, (prerequisites, as_json(runs)))

    def update_waiting(self, prerequisites: int, now: float) -> None:
        """Make the runs of a complete set ready, or abort them, if its prerequisites have ended."""
        (unmet,) = self._execute(_COUNT_UNMET, {"id": prerequisites}).fetchone()
        failed = self.failed_in(prerequisites)
        if failed is not None:
            for run in self._abort_waiting(prerequisites, failed, now):
                self.update_dependents(run, now)
        elif not unmet:
            self._unblock(prerequisites)

    # Consequences of a run's end or retry

    def update_dependents(self, run: Run, now: float) -> None:
        """Make the dependents of an ended run ready, or abort them and their dependents."""
        over = [run]
        while over:
            ended = over.pop()
            for set_, after_any in self._sets_with(ended.id):
                unmet = self._change_unmet(set_, -1)
                if ended.state is not State.SUCCEEDED and not after_any:
                    over += self._abort_waiting(set_, ended, now)
                elif not unmet:
                    self._unblock(set_)

    def block_dependents(self, run: int) -> None:
        """Make the queued and held dependents of a run wait, because it is queued again."""
        for set_, _ in self._sets_with(run):
            # If another prerequisite is unmet, they wait already.
            if self._change_unmet(set_, 1) == 1:
                self._execute(_WAIT_AGAIN, (NOT_YET, set_))
            self._reopened.add(set_)

    def restore_aborted(self) -> None:
        """Make the dependents that were aborted because of now retried runs wait again, and their dependents."""
        while self._reopened:
            set_ = self._reopened.pop()
            if self.failed_in(set_) is not None:
                continue
            for (id_,) in self._execute(_RESTORE, (set_, NOT_YET)).fetchall():
                self.restored.add(id_)
                self.block_dependents(id_)

    def _unmet_in(self, prerequisites: int) -> int:
        """Return the number of runs of a set that are not over."""
        (unmet,) = self._execute("SELECT unmet FROM prerequisites WHERE id = ?", (prerequisites,)).fetchone()
        return int(unmet)

    def _change_unmet(self, prerequisites: int, by: int) -> int:
        """Change the number of runs of a set that are not over, and return it."""
        (unmet,) = self._execute(_CHANGE_UNMET, (by, prerequisites)).fetchone()
        return int(unmet)

    def _sets_with(self, run: int) -> Sequence[tuple[int, bool]]:
        return self._execute(_SETS_WITH, (run,)).fetchall()

    def _abort_waiting(self, prerequisites: int, because_of: Run, now: float) -> list[Run]:
        how = "failed" if because_of.state is State.FAILED else "was aborted"
        why = f"run {because_of.id} {because_of.name}, which it comes after, {how}"
        values = {
            # What needs a due time that was skipped is skipped, too.
            "reason": f"{SKIPPED}{why}" if because_of.was_skipped else why,
            "now": now,
            "id": prerequisites,
            "not_yet": NOT_YET,
        }
        aborted = sorted(fetch_runs(self._transaction, _ABORT, values), key=lambda run: run.id)
        self.aborted += aborted
        return aborted

    def _unblock(self, prerequisites: int) -> None:
        rows = self._execute(_UNBLOCK, {"id": prerequisites, "not_yet": NOT_YET}).fetchall()
        self.unblocked.update(id_ for (id_,) in rows)
