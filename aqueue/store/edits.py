"""Edits: the statements that change what a waiting run is to do."""

import sqlite3
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, Final

from aqueue.errors import RunError
from aqueue.model.gpu import text_of
from aqueue.model.run import NOT_YET, Run, State
from aqueue.model.submission import Submission
from aqueue.model.task import Task
from aqueue.store.before_retry import forget_set, set_tags
from aqueue.store.dependencies import Dependencies
from aqueue.store.rows import as_json, task_as_text
from aqueue.store.runs import Runs

_EDITABLE: Final = (State.QUEUED, State.HELD)

_CHANGE: Final = (
    "UPDATE runs SET name = :name, queue = :queue, priority = :priority, task = :task,"
    " gpu_request = :gpu_request, group_name = :group WHERE id = :id"
)
_COME_AFTER: Final = (
    "UPDATE runs SET prerequisites = :set,"
    " ready_at = iif(:set IS NULL, nullif(ready_at, :not_yet), :not_yet) WHERE id = :id"
)
_COMES_BEFORE: Final = (
    # From set to set, as for dependents.
    "WITH RECURSIVE sets (id) AS ("
    "SELECT prerequisites FROM runs WHERE id IN (SELECT value FROM json_each(:ids)) AND prerequisites IS NOT NULL"
    " UNION SELECT runs.prerequisites FROM sets CROSS JOIN prerequisite_runs AS m ON m.prerequisites = sets.id"
    " CROSS JOIN runs ON runs.id = m.run AND runs.prerequisites IS NOT NULL)"
    " SELECT EXISTS (SELECT 1 FROM prerequisite_runs WHERE run = :run AND prerequisites IN (SELECT id FROM sets))"
)


class Edits:
    """Changes of runs that wait.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(self, transaction: sqlite3.Connection, runs: Runs, dependencies: Dependencies) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._runs = runs
        self._dependencies = dependencies

    def request_of(self, run: Run) -> Submission:
        """Return what a run is to do: its task, and the ids of its prerequisites.

        Raises:
            RunError: its task cannot be read.
        """
        if run.task.fault is not None:
            raise RunError(f"run {run.id} cannot be edited: {run.task.fault}", "queue it anew")
        before = self._dependencies.prerequisites(run)
        after_any = bool(before) and self._dependencies.is_met_by_any_end(run)
        return Submission(task=run.task, after=tuple(str(one.id) for one in before), after_any=after_any)

    def require(self, run: Run) -> None:
        """Check that a run still waits.

        Raises:
            RunError: it does not.
        """
        if run.state not in _EDITABLE:
            what = "it has started" if run.state is State.RUNNING else f"it is {run.state}"
            raise RunError(f"run {run.id} cannot be edited: {what}", _hint(run))

    def change(self, run: Run, task: Task, *, is_held: bool) -> None:
        """Give a waiting run another task.

        Raises:
            RunError: it does not wait any more, or its name is not to be changed.
        """
        self.require(run)
        if task.name != run.name:
            self._refuse_name(run)
        values: dict[str, Any] = {
            "id": run.id,
            "name": task.name,
            "queue": task.queue or task.name,
            "priority": int(task.priority),
            "task": task_as_text(task),
            "gpu_request": text_of(task.gpu_request),
            "group": task.group,
        }
        # It leaves its line before the line is changed, and joins the other afterwards.
        self._set_state(run, State.HELD)
        try:
            self._execute(_CHANGE, values)
        except sqlite3.IntegrityError:
            raise RunError(f"there already is a run {task.name}:{run.run_id}", "choose another name") from None
        if task.tags != run.task.tags:
            set_tags(self._transaction, run.id)
        if not is_held:
            self._set_state(run, State.QUEUED)

    def come_after(self, run: Run, after: Sequence[str], now: float, *, after_any: bool) -> None:
        """Let a waiting run come after other runs than so far.

        Args:
            after: the runs and groups, as written; none: it comes after none.

        Raises:
            RunError: one of them does not exist, did not succeed, or comes after this run itself.
        """
        ids = {*chain.from_iterable(map(self._dependencies.resolve, after))}
        self._refuse_circle(run, ids)
        set_ = self._dependencies.add_set(ids, after_any=after_any) if ids else None
        if set_ is not None and (failed := self._dependencies.failed_in(set_)) is not None:
            raise RunError(
                f"run {run.id} cannot come after run {failed.id} {failed.name}, which is {failed.state}",
                f"retry that first: `aqueue retry {failed.id}`, or start however it ended: --after-any",
            )
        self._execute(_COME_AFTER, {"set": set_, "not_yet": NOT_YET, "id": run.id})
        if set_ is not None:
            self._dependencies.update_waiting(set_, now)
        (is_retried,) = self._execute(
            "SELECT before_retry IS NOT NULL FROM runs WHERE id = ?", (run.id,)
        ).fetchone()
        if not is_retried:
            forget_set(self._transaction, run.prerequisites)

    def _refuse_name(self, run: Run) -> None:
        if run.attempt:
            raise RunError(f"run {run.id} cannot be renamed: it has run as {run.name}", "leave the name as it is")
        if run.scheduled_for is not None:
            hint = "leave the name as it is, or rename the schedule in its file"
            raise RunError(f"run {run.id} cannot be renamed: a schedule made it", hint)

    def _refuse_circle(self, run: Run, ids: Collection[int]) -> None:
        (comes_before,) = self._execute(_COMES_BEFORE, {"ids": as_json(ids), "run": run.id}).fetchone()
        if run.id in ids or comes_before:
            whom = "itself" if run.id in ids else "a run that comes after it"
            raise RunError(f"run {run.id} cannot come after {whom}: neither could ever start", "name another run")

    def _set_state(self, run: Run, state: State) -> None:
        self._execute("UPDATE runs SET state = ? WHERE id = ? AND state <> ?", (state, run.id, state))


def _hint(run: Run) -> str:
    if run.state is State.RUNNING:
        return f"cancel it, and retry it with changes: `aqueue cancel {run.id}`, `aqueue retry --edit {run.id}`"
    return f"retry it with changes: `aqueue retry --edit {run.id}`"
