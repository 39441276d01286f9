"""How runs come in: the statements that remember what was requested, and the code that it needs."""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain, count, islice
from typing import Any, Final

import msgspec

from aqueue.errors import RunError
from aqueue.model.gpu import text_of
from aqueue.model.run import NOT_YET, State, Trigger
from aqueue.model.submission import Submission
from aqueue.model.task import Snapshot, Task
from aqueue.store.dependencies import Dependencies
from aqueue.store.runs import as_json

_task_encoder: Final = msgspec.json.Encoder()


class Submissions(Dependencies):
    """What aqueue remembers, as far as new runs are concerned.

    Args:
        connection: inside a transaction that may write.
    """

    def add(
        self,
        task: Task,
        now: float,
        *,
        trigger: Trigger,
        run_id: str | None = None,
        source: str | None = None,
        scheduled_for: float | None = None,
        direct: bool = False,
        prerequisites: int | None = None,
    ) -> int | None:
        """Remember a new run of `task`.

        Args:
            run_id: must be unique among the runs of that name; one is made up if None.
            source: which document of which accepted file it is; the same is never added twice.
            scheduled_for: the due time of a schedule that it is made for.
            direct: have it started whatever the limits are.
            prerequisites: the set of what it comes after; it waits until that is settled.

        Returns:
            its id; None if there already is a run from this source.

        Raises:
            RunError: there is a run of this name with this run_id.
        """
        snapshot = task.snapshot
        try:
            row = self._execute(
                "INSERT INTO runs"
                " (name, run_id, queue, priority, state, trigger, task, source, created_at, scheduled_for, direct,"
                " demand, group_name, code, prerequisites, ready_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (source) DO NOTHING RETURNING id",
                (
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
                    direct,
                    text_of(task.demand),
                    task.group,
                    snapshot.commit if snapshot else None,
                    prerequisites,
                    None if prerequisites is None else NOT_YET,
                ),
            ).fetchone()
        except sqlite3.IntegrityError:
            raise RunError(
                f"there already is a run {task.name}:{run_id}", "choose another run-id, or leave it out"
            ) from None
        return row[0] if row else None

    def enqueue(
        self, requests: Sequence[Submission], now: float, *, trigger: Trigger, run_id: str | None = None
    ) -> list[list[int]]:
        """Remember the runs that are requested together.

        Returns:
            for each request the ids of its runs.

        Raises:
            RunError: one of them is to come after a run that is not known, or there is one with this run_id.
        """
        sets = [self._prerequisites(request) for request in requests]
        ids = [
            [self._new(task, now, trigger=trigger, run_id=run_id, prerequisites=set_) for task in request.tasks()]
            for request, set_ in zip(requests, sets, strict=True)
        ]
        self._settle_all(requests, sets, ids, now)
        return ids

    def accept(self, source: str, requests: Sequence[Submission], now: float) -> list[list[int]]:
        """Remember the runs of a file that was dropped, once, whoever says it and however often.

        What they were to come after and is not known any more has been forgotten, which is as good as over.

        Args:
            source: the name under which the file was claimed.

        Returns:
            for each request the ids of its runs.
        """
        if known := self.runs_of(source):
            left = iter(known)
            return [list(islice(left, len(request.tasks()))) for request in requests]
        sets = [self._prerequisites(request, forgiving=True) for request in requests]
        first, numbers = source.partition("~")[0], count()

        def new(task: Task, set_: int | None) -> int:
            number = next(numbers)
            run_id = first + (f"-{number}" if number else "")
            document = f"{source}:{number}"
            return self._new(task, now, trigger=Trigger.FILE, run_id=run_id, source=document, prerequisites=set_)

        ids = [[new(task, set_) for task in request.tasks()] for request, set_ in zip(requests, sets, strict=True)]
        self._settle_all(requests, sets, ids, now)
        return ids

    def _new(self, task: Task, now: float, **how: Any) -> int:
        """Add a run that cannot be there yet; see `add`."""
        id_ = self.add(task, now, **how)
        if id_ is None:
            raise AssertionError("only what is known already is added twice")
        return id_

    def _prerequisites(self, request: Submission, *, forgiving: bool = False) -> int | None:
        """A set with those prerequisites of a request that are known already; None if it has none at all."""
        if not request.after and not request.needs:
            return None
        found: set[int] = set()
        for written in request.after:
            try:
                found.update(self.known(written))
            except RunError:
                if not forgiving:
                    raise
        return self.come_after(found, after_any=request.after_any)

    def _settle_all(
        self,
        requests: Sequence[Submission],
        sets: Sequence[int | None],
        ids: Sequence[Sequence[int]],
        now: float,
    ) -> None:
        """Complete the sets of prerequisites with runs of the same file, and do what follows from them."""
        for commit in {snapshot.commit for request in requests if (snapshot := request.task.snapshot)}:
            # From now on its runs say whether it is needed.
            self._execute("UPDATE snapshots SET used_at = 0 WHERE code = ? AND used_at > 0", (commit,))
        if any(request.needs for request in requests):
            meant: dict[str, list[int]] = {}
            for request, runs in zip(requests, ids, strict=True):
                for name, some in request.by_name(runs):
                    meant.setdefault(name, []).extend(some)
            for request, set_ in zip(requests, sets, strict=True):
                if set_ is not None and request.needs:
                    self.put_before(chain.from_iterable(meant.get(name, ()) for name in request.needs), set_)
        for set_ in sets:
            if set_ is not None:
                self.settle(set_, now)

    def use_snapshot(self, snapshot: Snapshot, ref: str, now: float) -> str:
        """Note that code is about to be needed.

        Args:
            ref: what is to keep it, if nothing does so far.

        Returns:
            the reference that is to keep it, and may not be there yet.
        """
        known: tuple[str] | None = self._execute(
            "UPDATE snapshots SET used_at = ? WHERE code = ? AND repository = ? AND used_at IS NOT NULL"
            " RETURNING ref",
            (now, snapshot.commit, snapshot.repository),
        ).fetchone()
        if known is not None:
            return known[0]
        self._execute(
            "INSERT INTO snapshots (ref, repository, code, used_at) VALUES (?, ?, ?, ?)",
            (ref, snapshot.repository, snapshot.commit, now),
        )
        return ref

    def unused_snapshots(self, before: float) -> list[tuple[str, str]]:
        """The references, each with its repository, that are to be removed: nobody will use them again.

        Args:
            before: when they were last said to be needed.
        """
        self._execute(
            "UPDATE snapshots SET used_at = NULL"
            " WHERE used_at < ? AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.code = snapshots.code)",
            (before,),
        )
        return self._execute("SELECT ref, repository FROM snapshots WHERE used_at IS NULL").fetchall()

    def forget_snapshots(self, refs: Iterable[str]) -> None:
        """Forget references that are gone."""
        self._execute("DELETE FROM snapshots WHERE ref IN (SELECT value FROM json_each(?))", (as_json(refs),))
