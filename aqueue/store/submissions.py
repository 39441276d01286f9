"""Submissions: the statements that remember the runs that were requested."""

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from itertools import chain, count, islice
from typing import Any, Final

import msgspec

from aqueue.errors import RunError
from aqueue.model.gpu import text_of
from aqueue.model.run import NOT_YET, State, Trigger
from aqueue.model.submission import Accepted, Submission
from aqueue.model.task import Task
from aqueue.store.dependencies import Dependencies
from aqueue.store.rows import as_json
from aqueue.store.runs import Runs
from aqueue.store.snapshots import Snapshots

_GIVEN: Final = (
    "name",
    "run_id",
    "queue",
    "priority",
    "state",
    "trigger",
    "task",
    "source",
    "created_at",
    "scheduled_for",
    "schedule",
    "direct",
    "demand",
    "group_name",
    "code",
    "prerequisites",
    "ready_at",
)
"""The columns of a new run; all others begin empty."""

_ADD: Final = (
    f"INSERT INTO runs ({', '.join(_GIVEN)}) VALUES ({', '.join('?' * len(_GIVEN))})"
    " ON CONFLICT (source) DO NOTHING RETURNING id"
)

_ADD_TAG: Final = "INSERT OR IGNORE INTO run_tags (tag, run) VALUES (?, ?)"

_task_encoder: Final = msgspec.json.Encoder()


class Submissions:
    """The runs that come in.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(
        self, transaction: sqlite3.Connection, runs: Runs, dependencies: Dependencies, snapshots: Snapshots
    ) -> None:
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
        scheduled_for: float | None = None,
        schedule: str | None = None,
        direct: bool = False,
        prerequisites: int | None = None,
    ) -> int | None:
        """Remember a new run of `task`.

        Args:
            run_id: must be unique among the runs of that name; one is made up if None.
            source: which document of which accepted file it is; the same is never added twice.
            scheduled_for, schedule: the due time that it is made for, and of which schedule.
            direct: have it started whatever the limits are.
            prerequisites: the set of what it comes after; it waits until that is settled.

        Returns:
            its id; None if there already is a run from this source.

        Raises:
            RunError: there is a run of this name with this run_id.
        """
        values = (
            task.name,
            run_id or os.urandom(8).hex(),
            task.queue or task.name,
            int(task.priority),
            State.HELD if task.hold else State.QUEUED,
            trigger,
            _task_encoder.encode(task).decode(),
            source,
            now,
            scheduled_for,
            schedule,
            direct,
            text_of(task.demand),
            task.group,
            task.snapshot.commit if task.snapshot else None,
            prerequisites,
            None if prerequisites is None else NOT_YET,
        )
        try:
            row = self._execute(_ADD, values).fetchone()
        except sqlite3.IntegrityError:
            raise RunError(
                f"there already is a run {task.name}:{run_id}", "choose another run-id, or leave it out"
            ) from None
        if row is None:
            return None
        for tag in task.tags:
            self._execute(_ADD_TAG, (tag, row[0]))
        return int(row[0])

    def enqueue(
        self, requests: Sequence[Submission], now: float, *, trigger: Trigger, run_id: str | None = None
    ) -> list[Accepted]:
        """Remember the runs that are requested together, and return what each request became.

        Raises:
            RunError: one of them is to come after a run that is not known, or there is one with this run_id.
        """
        sets = [self._prerequisites(request) for request in requests]

        def new(task: Task, set_: int | None) -> int:
            return self._new(task, now, trigger=trigger, run_id=run_id, prerequisites=set_)

        return self._accept(requests, sets, new, now)

    def accept(self, source: str, requests: Sequence[Submission], now: float) -> list[Accepted]:
        """Remember the runs of a file that was dropped, once, whoever says it and however often.

        What they were to come after and is not known any more has been forgotten, which is as good as over.

        Args:
            source: the name under which the file was claimed.

        Returns:
            what each request became.
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
        schedule: str,
        request: Submission,
        now: float,
        *,
        needed: Collection[int],
        run_id: str,
        **how: Any,
    ) -> Accepted | None:
        """Remember the runs of a due time that are not there yet; None if all of them are.

        What they come after is what is known now; what is not is as good as over.

        Args:
            schedule: its name.
            needed: the runs of this due time that these need.
            run_id: of the due time.
            how: else to add them; see `add`.
        """
        tasks = request.tasks()
        known = self._names_with(run_id, [task.name for task in tasks])
        tasks = [task for task in tasks if task.name not in known]
        if not tasks:
            return None
        set_ = self._prerequisites(request, forgiving=True)
        if set_ is not None:
            self._dependencies.add_prerequisites(needed, set_)
        ids = [self._new(task, now, run_id=run_id, schedule=schedule, prerequisites=set_, **how) for task in tasks]
        accepted = Accepted(request, tuple(ids))
        self._settle_all([accepted], [set_], now)
        return accepted

    def _names_with(self, run_id: str, names: Collection[str]) -> set[str]:
        """Return which of these names have a run with this run_id."""
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
        """Make the runs of all requests, and do what follows from what they come after."""
        accepted = [
            Accepted(request, tuple([new(task, set_) for task in request.tasks()]))
            for request, set_ in zip(requests, sets, strict=True)
        ]
        self._settle_all(accepted, sets, now)
        return accepted

    def _new(self, task: Task, now: float, **how: Any) -> int:
        """Add a run that cannot be there yet; see `add`."""
        id_ = self.add(task, now, **how)
        if id_ is None:
            raise AssertionError("only what is known already is added twice")
        return id_

    def _prerequisites(self, request: Submission, *, forgiving: bool = False) -> int | None:
        """Make a set of those prerequisites of a request that are known already; None if it has none at all."""
        if not request.after and not request.needs:
            return None
        found: set[int] = set()
        for written in request.after:
            try:
                found.update(self._dependencies.known(written))
            except RunError:
                if not forgiving:
                    raise
        return self._dependencies.come_after(found, after_any=request.after_any)

    def _settle_all(self, accepted: Sequence[Accepted], sets: Sequence[int | None], now: float) -> None:
        """Complete the sets of prerequisites with runs of the same file, and do what follows from them."""
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
                self._dependencies.settle(set_, now)
