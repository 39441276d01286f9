"""Submissions: the statements that add runs."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from itertools import chain, count, islice
from typing import Any

from aqueue.errors import RunError
from aqueue.model.gpu import text_of
from aqueue.model.run import NOT_YET, Trigger
from aqueue.model.schedule import DueTime
from aqueue.model.submission import Accepted, Submission
from aqueue.model.task import Task
from aqueue.store.dependencies import Dependencies
from aqueue.store.new_runs import add_run
from aqueue.store.rows import as_json, task_as_text
from aqueue.store.runs import Runs
from aqueue.store.snapshots import Snapshots


class Submissions:
    """The addition of submitted runs.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(
        self, transaction: sqlite3.Connection, runs: Runs, dependencies: Dependencies, snapshots: Snapshots
    ) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._runs = runs
        self._dependencies = dependencies
        self._snapshots = snapshots

    def add(
        self,
        task: Task,
        now: float,
        *,
        trigger: Trigger,
        run_id: str | None = None,
        source: str | None = None,
        due: DueTime | None = None,
        prerequisites: int | None = None,
    ) -> int | None:
        """Add a run of `task`.

        Args:
            run_id: unique among the runs with that name; None: generate one.
            source: the document of the accepted file; the same source is never added twice.
            due: the due time that it is made for.
            prerequisites: the id of its set of prerequisites, which it waits for.

        Returns:
            its id; None if this source was added before.

        Raises:
            RunError: a run with this name and run_id exists.
            UsageError: the task could not be read back.
        """
        return add_run(
            self._transaction,
            name=task.name,
            queue=task.queue,
            priority=int(task.priority),
            task=task_as_text(task),
            created_at=now,
            trigger=trigger,
            run_id=run_id,
            is_held=task.hold,
            source=source,
            scheduled_for=None if due is None else due.at,
            schedule=None if due is None else due.schedule,
            direct=due is not None and due.direct,
            gpu_request=text_of(task.gpu_request),
            group=task.group,
            code=task.snapshot.commit if task.snapshot else None,
            prerequisites=prerequisites,
            ready_at=None if prerequisites is None else NOT_YET,
            tags=task.tags,
        )

    def enqueue(
        self, requests: Sequence[Submission], now: float, *, trigger: Trigger, run_id: str | None = None
    ) -> list[Accepted]:
        """Add the runs of submissions made together, and return them for each submission.

        Raises:
            RunError: a prerequisite does not exist, or a run with this run_id does.
        """
        sets = [self._prerequisites(request) for request in requests]

        def new(task: Task, set_: int | None) -> int:
            return self._new(task, now, trigger=trigger, run_id=run_id, prerequisites=set_)

        return self._accept(requests, sets, new, now)

    def accept(self, source: str, requests: Sequence[Submission], now: float) -> list[Accepted]:
        """Add the runs of a dropped file; repeated calls for the same file add nothing.

        A prerequisite that no longer exists was forgotten and counts as met.

        Args:
            source: the name of the file in `incoming/`.

        Returns:
            each submission with its runs.
        """
        if known := self._runs.of_file(source):
            left = iter(known)
            return [Accepted(request, tuple(islice(left, len(request.tasks())))) for request in requests]
        sets = [self._prerequisites(request, forgiving=True) for request in requests]
        first, numbers = source.partition("~")[0], count()

        def new(task: Task, set_: int | None) -> int:
            number = next(numbers)
            run_id = first + (f"-{number}" if number else "")
            document = f"{source}:{number}"
            return self._new(task, now, trigger=Trigger.FILE, run_id=run_id, source=document, prerequisites=set_)

        return self._accept(requests, sets, new, now)

    def make_due(
        self,
        due: DueTime,
        request: Submission,
        now: float,
        *,
        trigger: Trigger,
        run_id: str,
        needed: Collection[int],
    ) -> Accepted | None:
        """Add the missing runs of a due time; return None if all exist.

        A prerequisite that does not exist counts as met.

        Args:
            run_id: of all runs of the due time.
            needed: the ids of the runs of this due time that these need.
        """
        tasks = request.tasks()
        known = self._names_with(run_id, [task.name for task in tasks])
        tasks = [task for task in tasks if task.name not in known]
        if not tasks:
            return None
        set_ = self._prerequisites(request, forgiving=True)
        if set_ is not None:
            self._dependencies.add_prerequisites(needed, set_)
        ids = [self._new(task, now, trigger=trigger, run_id=run_id, due=due, prerequisites=set_) for task in tasks]
        accepted = Accepted(request, tuple(ids))
        self._settle_all([accepted], [set_], now)
        return accepted

    def _names_with(self, run_id: str, names: Collection[str]) -> set[str]:
        """Return the names among these that have a run with this run_id."""
        rows = self._execute(
            "SELECT name FROM runs WHERE name IN (SELECT value FROM json_each(?)) AND run_id = ?",
            (as_json(names), run_id),
        )
        return {name for (name,) in rows.fetchall()}

    def _accept(
        self,
        requests: Sequence[Submission],
        sets: Sequence[int | None],
        new: Callable[[Task, int | None], int],
        now: float,
    ) -> list[Accepted]:
        """Add the runs of all submissions, and update those whose prerequisites have ended."""
        accepted = [
            Accepted(request, tuple([new(task, set_) for task in request.tasks()]))
            for request, set_ in zip(requests, sets, strict=True)
        ]
        self._settle_all(accepted, sets, now)
        return accepted

    def _new(self, task: Task, now: float, **how: Any) -> int:
        """Add a run that cannot exist yet; see `add`."""
        id_ = self.add(task, now, **how)
        if id_ is None:
            raise AssertionError("the run exists already")
        return id_

    def _prerequisites(self, request: Submission, *, forgiving: bool = False) -> int | None:
        """Add the set of a submission's prerequisites that exist already; return None if it needs no set."""
        if not request.after and not request.needs:
            return None
        found: set[int] = set()
        for written in request.after:
            try:
                found.update(self._dependencies.resolve(written))
            except RunError:
                if not forgiving:
                    raise
        return self._dependencies.add_set(found, after_any=request.after_any)

    def _settle_all(self, accepted: Sequence[Accepted], sets: Sequence[int | None], now: float) -> None:
        """Complete the sets of prerequisites with runs of the same file, and update the waiting runs."""
        self._snapshots.leave_to_runs(
            {snapshot.commit for one in accepted if (snapshot := one.submission.task.snapshot)}
        )
        if any(one.submission.needs for one in accepted):
            meant: dict[str, list[int]] = {}
            for one in accepted:
                for name, some in one.submission.by_name(one.run_ids):
                    meant.setdefault(name, []).extend(some)
            for one, set_ in zip(accepted, sets, strict=True):
                if set_ is not None and one.submission.needs:
                    before = chain.from_iterable(meant.get(name, ()) for name in one.submission.needs)
                    self._dependencies.add_prerequisites(before, set_)
        for set_ in sets:
            if set_ is not None:
                self._dependencies.update_waiting(set_, now)
