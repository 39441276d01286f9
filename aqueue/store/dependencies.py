"""Runs that come after others: the statements that make them wait, let them go, and abort them.

What a task comes after becomes a set of prerequisites when it is accepted, and all of its runs refer to that set.
While one of those is not over, the runs wait (`NOT_YET`). Whatever ends a run, in the same transaction each set
that it is in has one fewer to wait for: when none is left, the runs that refer to it are let go. When one did not
succeed, they are aborted, unless they come after any end; and what comes after them is over with that, too.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from aqueue.errors import RunError
from aqueue.model.run import NOT_YET, Run, State
from aqueue.store.prospects import Prospects
from aqueue.store.runs import IS_OVER, RUNS, as_json

_GROUP: Final = "group:"
_WAITING: Final = "state IN ('queued', 'held') AND ready_at = :not_yet"


class Dependencies(Prospects):
    """What aqueue remembers of which run comes after which.

    Args:
        connection: inside a transaction that may write.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.aborted: list[Run] = []
        """The runs that were aborted in this transaction because of what they come after."""
        self.let_go: set[int] = set()
        """The runs that were let go in this transaction, or wait once more, because of what they come after."""
        self._reopened: set[int] = set()
        """The sets of which a run was queued again, and that have not been looked at since."""

    def known(self, written: str) -> list[int]:
        """The runs that an entry of `after` means.

        Args:
            written: a run as commands know it; a name, for its newest run; or `group:NAME`, for the newest run of
                each name in that group.

        Raises:
            RunError: there are none.
        """
        if written.startswith(_GROUP):
            name = written.removeprefix(_GROUP)
            found = self._execute(
                "SELECT max(id) FROM runs WHERE group_name = ? GROUP BY name", (name,)
            ).fetchall()
            if not found:
                raise RunError(f"there is no group {name}", "`aqueue ls` shows which runs there are")
            return [id_ for (id_,) in found]
        if written.isascii() and written.isdigit() and len(written) < 19 and (run := self.get(int(written))):
            return [run.id]
        (newest,) = self._execute("SELECT max(id) FROM runs WHERE name = ?", (written,)).fetchone()
        if newest is not None:
            return [newest]
        try:
            return [self.resolve(written).id]
        except RunError as error:
            if written in self.groups():
                raise RunError(error.message, f"it is a group: write {_GROUP}{written}") from None
            raise

    def come_after(self, runs: Collection[int], *, after_any: bool) -> int:
        """Make a set of prerequisites.

        Args:
            runs: that are in it; more can be put into it by `put_before`.
            after_any: however they end.

        Returns:
            its id, for `settle` once it is complete.
        """
        cursor = self._execute("INSERT INTO prerequisites (after_any) VALUES (?)", (after_any,))
        set_ = cursor.lastrowid
        if set_ is None:
            raise AssertionError("a row that was inserted has an id")
        self.put_before(runs, set_)
        return set_

    def put_before(self, runs: Iterable[int], prerequisites: int) -> None:
        """Have runs be in a set of prerequisites, too."""
        self._execute(
            "INSERT OR IGNORE INTO prerequisite_runs (prerequisites, run) SELECT ?, value FROM json_each(?)",
            (prerequisites, as_json(runs)),
        )

    def settle(self, prerequisites: int, now: float) -> None:
        """Let the runs go that wait for a complete set of prerequisites, or abort them, if it is time for that."""
        (unmet,) = self._execute(
            "UPDATE prerequisites SET unmet = (SELECT count(*) FROM prerequisite_runs JOIN runs ON runs.id = run"
            f" WHERE prerequisite_runs.prerequisites = :id AND NOT {IS_OVER})"
            " WHERE id = :id RETURNING unmet",
            {"id": prerequisites},
        ).fetchone()
        failed = self._failed(prerequisites)
        if failed is not None:
            for run in self._abort_waiting(prerequisites, failed, now):
                self._settle_after(run, now)
        elif not unmet:
            self._let_go(prerequisites)

    def prerequisites(self, run: Run) -> list[Run]:
        """The runs that a run comes after."""
        return self._runs(
            f"{RUNS} WHERE id IN (SELECT run FROM prerequisite_runs WHERE prerequisites = ?) ORDER BY id",
            (run.prerequisites,),
        )

    def dependents(self, runs: Iterable[Run]) -> list[Run]:
        """The other runs that wait and are aborted if these do not succeed: what comes after them, and so on."""
        # From set to set, not from run to run: between two large sweeps there are too many pairs of runs.
        return self._runs(
            "WITH RECURSIVE doomed (id) AS ("
            "SELECT p.id FROM prerequisite_runs AS m JOIN prerequisites AS p ON p.id = m.prerequisites"
            " WHERE m.run IN (SELECT value FROM json_each(:ids)) AND NOT after_any"
            " UNION SELECT p.id FROM doomed"
            f" CROSS JOIN runs ON runs.prerequisites = doomed.id AND {_WAITING}"
            " CROSS JOIN prerequisite_runs AS m ON m.run = runs.id"
            " CROSS JOIN prerequisites AS p ON p.id = m.prerequisites AND NOT after_any)"
            f" {RUNS} WHERE prerequisites IN (SELECT id FROM doomed) AND {_WAITING}"
            " AND id NOT IN (SELECT value FROM json_each(:ids)) ORDER BY id",
            {"ids": as_json(run.id for run in runs), "not_yet": NOT_YET},
        )

    def _settle_after(self, run: Run, now: float) -> None:
        """A run is over: do what follows from that for those that come after it, and so on."""
        over = [run]
        while over:
            ended = over.pop()
            for set_, after_any in self._sets_with(ended.id):
                (unmet,) = self._execute(
                    "UPDATE prerequisites SET unmet = unmet - 1 WHERE id = ? RETURNING unmet", (set_,)
                ).fetchone()
                if ended.state is not State.SUCCEEDED and not after_any:
                    over += self._abort_waiting(set_, ended, now)
                elif not unmet:
                    self._let_go(set_)

    def _unsettle_after(self, run: int) -> None:
        """A run that was over is queued again: those that come after it and are queued or held wait for it."""
        for set_, _ in self._sets_with(run):
            (unmet,) = self._execute(
                "UPDATE prerequisites SET unmet = unmet + 1 WHERE id = ? RETURNING unmet", (set_,)
            ).fetchone()
            if unmet == 1:
                # Before that they wait already.
                self._execute(
                    "UPDATE runs SET ready_at = ? WHERE prerequisites = ? AND state IN ('queued', 'held')",
                    (NOT_YET, set_),
                )
            self._reopened.add(set_)

    def _bring_back(self) -> None:
        """Have those wait again that were aborted because of runs that were queued again since, and so on."""
        while self._reopened:
            set_ = self._reopened.pop()
            if self._failed(set_) is not None:
                continue
            back = self._execute(
                "UPDATE runs SET state = iif(was_held, 'held', 'queued'), reason = NULL, finished_at = NULL,"
                " failures = 0, losses = 0 WHERE prerequisites = ? AND state = 'aborted' AND ready_at = ?"
                " RETURNING id",
                (set_, NOT_YET),
            ).fetchall()
            for (id_,) in back:
                self.let_go.add(id_)
                self._unsettle_after(id_)

    def _failed(self, prerequisites: int) -> Run | None:
        """A run of the set because of which those that wait for it are aborted; None if there is none."""
        return self._one(
            f"{RUNS} WHERE state IN ('failed', 'aborted') AND id IN (SELECT run FROM prerequisite_runs"
            " JOIN prerequisites AS p ON p.id = prerequisites WHERE p.id = ? AND NOT after_any)"
            " ORDER BY id LIMIT 1",
            (prerequisites,),
        )

    def _ready_at(self, run: Run, failures: dict[int, Run | None]) -> float | None:
        """When a run that is queued again may be started, by what it comes after.

        Args:
            failures: what `_failed` said of each set; is asked only once for all runs of a sweep.

        Raises:
            RunError: something that it comes after did not succeed.
        """
        if run.prerequisites is None:
            return None
        if run.prerequisites not in failures:
            failures[run.prerequisites] = self._failed(run.prerequisites)
        failed = failures[run.prerequisites]
        if failed is not None:
            raise RunError(
                f"run {run.id} cannot be retried: it comes after run {failed.id} {failed.name},"
                f" which is {failed.state}",
                f"retry that one as well: `aqueue retry {failed.id} {run.id}`",
            )
        return NOT_YET if self._unmet_in(run.prerequisites) else None

    def _is_held_up(self, run: Run) -> bool:
        """Whether what a run comes after has not ended as it is to, be it because it was retried meanwhile."""
        if run.prerequisites is None:
            return False
        return self._unmet_in(run.prerequisites) > 0 or self._failed(run.prerequisites) is not None

    def _unmet_in(self, prerequisites: int) -> int:
        """How many runs of a set are not over."""
        (unmet,) = self._execute("SELECT unmet FROM prerequisites WHERE id = ?", (prerequisites,)).fetchone()
        return int(unmet)

    def _sets_with(self, run: int) -> Sequence[tuple[int, bool]]:
        return self._execute(
            "SELECT p.id, after_any FROM prerequisite_runs JOIN prerequisites AS p ON p.id = prerequisites"
            " WHERE run = ?",
            (run,),
        ).fetchall()

    def _abort_waiting(self, prerequisites: int, because_of: Run, now: float) -> list[Run]:
        how = "failed" if because_of.state is State.FAILED else "was aborted"
        rows = self._execute(
            "UPDATE runs SET state = 'aborted', was_held = (state = 'held'), reason = :reason, finished_at = :now,"
            " before_retry = NULL"
            f" WHERE prerequisites = :id AND {_WAITING} RETURNING id",
            {
                "reason": f"run {because_of.id} {because_of.name}, which it comes after, {how}",
                "now": now,
                "id": prerequisites,
                "not_yet": NOT_YET,
            },
        ).fetchall()
        aborted = self._runs(
            f"{RUNS} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", (as_json(id_ for (id_,) in rows),)
        )
        self.aborted += aborted
        return aborted

    def _let_go(self, prerequisites: int) -> None:
        rows = self._execute(
            f"UPDATE runs SET ready_at = NULL WHERE prerequisites = :id AND {_WAITING} RETURNING id",
            {"id": prerequisites, "not_yet": NOT_YET},
        ).fetchall()
        self.let_go.update(id_ for (id_,) in rows)
