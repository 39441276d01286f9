"""What happens to runs: the statements that change the store, one method for each thing.

A `Store` is used inside a transaction (see `db`), so each method sees and leaves a consistent state, and what
several methods do is done together. Times come in as arguments, in seconds since the epoch.
"""

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from aqueue.cards import text_of
from aqueue.claims import cards_as_text
from aqueue.dependencies import Dependencies
from aqueue.errors import RunError
from aqueue.models import ENDED, FOLLOWERS, NOT_YET, Run, Snapshot, State, Task, Trigger
from aqueue.outcomes import End, Outcome, judge
from aqueue.queries import as_json, metrics_as_text
from aqueue.requests import Request

_task_encoder = msgspec.json.Encoder()
_BY_HAND = "retried by hand"
_IS_OVER = f"state IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"


class Store(Dependencies):
    """What aqueue remembers.

    Args:
        connection: inside a transaction that may write.
    """

    # Runs come in

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
        snapshot = task.isolate.snapshot if task.isolate else None
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
        self, requests: Sequence[Request], now: float, *, trigger: Trigger, run_id: str | None = None
    ) -> list[list[int]]:
        """Remember the runs that are requested together.

        Returns:
            for each request the ids of its runs.

        Raises:
            RunError: one of them is to come after a run that is not known, or there is one with this run_id.
        """
        sets = [self._prerequisites(request) for request in requests]
        ids = [
            [self._new(task, now, trigger, run_id, set_) for task in request.tasks()]
            for request, set_ in zip(requests, sets, strict=True)
        ]
        self._settle_all(requests, sets, ids, now)
        return ids

    def accept(self, source: str, requests: Sequence[Request], now: float) -> list[list[int]]:
        """Remember the runs of a file that was dropped, once, whoever says it and however often.

        What they were to come after and is not known any more has been forgotten, which is as good as over.

        Args:
            source: the name under which the file was claimed.

        Returns:
            for each request the ids of its runs.
        """
        first, index = source.partition("~")[0], 0
        if known := self.runs_of(source):
            left = iter(known)
            return [list(islice(left, len(request.tasks()))) for request in requests]
        sets = [self._prerequisites(request, forgiving=True) for request in requests]
        ids: list[list[int]] = []
        for request, set_ in zip(requests, sets, strict=True):
            ids.append([])
            for task in request.tasks():
                run_id = first + (f"-{index}" if index else "")
                id_ = self.add(
                    task, now, trigger=Trigger.FILE, run_id=run_id, source=f"{source}:{index}", prerequisites=set_
                )
                ids[-1] += [] if id_ is None else [id_]
                index += 1
        self._settle_all(requests, sets, ids, now)
        return ids

    def _new(self, task: Task, now: float, trigger: Trigger, run_id: str | None, prerequisites: int | None) -> int:
        id_ = self.add(task, now, trigger=trigger, run_id=run_id, prerequisites=prerequisites)
        if id_ is None:
            raise AssertionError("only a source is ever added twice")
        return id_

    def _prerequisites(self, request: Request, *, forgiving: bool = False) -> int | None:
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
        requests: Sequence[Request],
        sets: Sequence[int | None],
        ids: Sequence[Sequence[int]],
        now: float,
    ) -> None:
        """Complete the sets of prerequisites with runs of the same file, and do what follows from them."""
        for request in requests:
            if request.task.isolate is not None and request.task.isolate.snapshot is not None:
                # From now on its runs say whether it is needed.
                self._execute(
                    "UPDATE snapshots SET used_at = 0 WHERE code = ? AND used_at > 0",
                    (request.task.isolate.snapshot.commit,),
                )
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

    # A run's life under a server

    def finish(self, outcome: Outcome, server: str) -> Run | None:
        """Record how an attempt ended, and what follows from it.

        Returns:
            the run as it is now; None if this attempt is no longer the server's, and nothing was done.
        """
        run, verdict = outcome.run, judge(outcome)
        if verdict.state is State.QUEUED and (now := self.get(run.id)) and now.cancel is not None:
            # Somebody cancelled it while its attempt was ending: it must not be tried again.
            run = msgspec.structs.replace(run, cancel=now.cancel)
            verdict = judge(msgspec.structs.replace(outcome, run=run))
        over = verdict.state in ENDED
        is_held_up = verdict.state is State.QUEUED and self._is_held_up(run)
        ready_at = NOT_YET if is_held_up else verdict.ready_at
        changed = self._execute(
            "UPDATE runs SET state = ?, reason = ?, ready_at = ?, finished_at = ?, failures = ?, losses = ?,"
            " exit_code = ?, signal = ?, server = NULL, cancel = NULL, cards = iif(?, cards, NULL), metrics = ?"
            " WHERE id = ? AND state = 'running' AND server = ? AND attempt = ?",
            (
                verdict.state,
                verdict.reason,
                ready_at,
                outcome.at if over else None,
                verdict.failures,
                verdict.losses,
                outcome.exit_code,
                outcome.signal,
                over,
                metrics_as_text(outcome.metrics),
                run.id,
                server,
                run.attempt,
            ),
        ).rowcount
        if not changed:
            return None
        self._give_back(run.cards, outcome.at)
        if outcome.end is not End.NEVER_STARTED:
            self._execute(
                "INSERT INTO attempts (run, number, started_at, finished_at, exit_code, signal, reason, cards)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.attempt,
                    run.started_at,
                    outcome.at,
                    outcome.exit_code,
                    outcome.signal,
                    verdict.attempt_reason,
                    cards_as_text(run.cards),
                ),
            )
        now_it_is = msgspec.structs.replace(
            run,
            state=verdict.state,
            reason=verdict.reason,
            ready_at=ready_at,
            finished_at=outcome.at if over else None,
            failures=verdict.failures,
            losses=verdict.losses,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            server=None,
            cancel=None,
            cards=run.cards if over else (),
            metrics=outcome.metrics,
        )
        if over:
            self._settle_after(now_it_is, outcome.at)
        elif is_held_up and run.prerequisites is not None:
            self.settle(run.prerequisites, outcome.at)
            return self.get(run.id)
        return now_it_is

    def cancellations(self, server: str) -> list[tuple[int, str]]:
        """The runs of `server` that somebody wants stopped, and why."""
        return self._execute(
            "SELECT id, cancel FROM runs WHERE state = 'running' AND server = ? AND cancel IS NOT NULL",
            (server,),
        ).fetchall()

    # What people do to runs

    def cancel(self, run: Run, reason: str, now: float) -> State:
        """Abort a run that waits; have its server stop one that runs.

        One that was aborted because of what it comes after does not come back when that is retried.

        Returns:
            the state it is in now.

        Raises:
            RunError: it is over.
        """
        if run.state is State.ABORTED and run.ready_at == NOT_YET:
            self._execute("UPDATE runs SET reason = ?, ready_at = NULL WHERE id = ?", (reason, run.id))
            return State.ABORTED
        _require(run, "cancelled", State.HELD, State.QUEUED, State.RUNNING)
        if run.state is State.RUNNING:
            self._execute("UPDATE runs SET cancel = ? WHERE id = ?", (reason, run.id))
            return State.RUNNING
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        return State.ABORTED

    def dequeue(self, run: Run, reason: str, now: float) -> bool:
        """Take a queued run off its queue; one that had no attempt is forgotten, unless others come after it.

        Returns:
            whether it was forgotten.

        Raises:
            RunError: it is not queued.
        """
        _require(run, "dequeued", State.QUEUED)
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        if self.attempts(run) or self._sets_with(run.id):
            return False
        self.forget([run.id])
        return True

    def hold(self, run: Run) -> None:
        """Keep a queued run from being started.

        Raises:
            RunError: it is not queued.
        """
        _require(run, "held", State.QUEUED)
        self._move(run, State.HELD)

    def release(self, run: Run) -> None:
        """Let a held run go.

        Raises:
            RunError: it is not held.
        """
        _require(run, "released", State.HELD)
        self._move(run, State.QUEUED)

    def retry(self, runs: Iterable[Run]) -> None:
        """Queue runs that are over once more, as new attempts, with all their retries before them again.

        Those that come after them, and were aborted only because of them, wait for them again.

        Raises:
            RunError: one is not over, or comes after one that did not succeed and is not retried.
        """
        left = list(runs)
        while left:
            refused: list[tuple[Run, RunError]] = []
            failures: dict[int, Run | None] = {}
            for run in left:
                try:
                    self._retry(run, failures)
                except RunError as error:
                    refused.append((run, error))
            if len(refused) == len(left):
                raise _first_reason(refused, failures)
            self._bring_back()
            # What they come after may have been retried meanwhile.
            left = [run for run, _ in refused]

    def _retry(self, run: Run, failures: dict[int, Run | None]) -> None:
        _require(run, "retried", *sorted(ENDED))
        if run.id in self.let_go:
            # It is back already; perhaps as held, but whoever retries it wants it to start.
            self._execute("UPDATE runs SET state = 'queued', reason = ? WHERE id = ?", (_BY_HAND, run.id))
            return
        self._move(
            run,
            State.QUEUED,
            reason=_BY_HAND,
            finished_at=None,
            ready_at=self._ready_at(run, failures),
            failures=0,
            losses=0,
            cards=None,
        )
        self._unsettle_after(run.id)

    # Code

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

    # Forgetting

    def ended_before(self, moment: float, limit: int, incoming: Iterable[str] = ()) -> list[int]:
        """The ids of the runs, at most `limit`, that were over before `moment`.

        Args:
            incoming: names of files that were not yet moved to their runs. Those runs are left out: a file whose
                run is forgotten would become a run once more.
        """
        rows = self._execute(
            f"SELECT id FROM runs WHERE {_IS_OVER} AND finished_at < ? AND (source IS NULL OR"
            " rtrim(rtrim(source, '0123456789'), ':') NOT IN (SELECT value FROM json_each(?)))"
            " ORDER BY id LIMIT ?",
            (moment, as_json(incoming), limit),
        )
        return [id_ for (id_,) in rows]

    def forget(self, ids: Iterable[int]) -> None:
        """Remove runs that are over, with their attempts."""
        for id_ in ids:
            self._execute(f"DELETE FROM runs WHERE id = ? AND {_IS_OVER}", (id_,))
        self._execute(
            "DELETE FROM prerequisites"
            " WHERE id NOT IN (SELECT prerequisites FROM runs WHERE prerequisites IS NOT NULL)"
        )

    def forget_schedules(self, before: float) -> None:
        """Forget the schedules that have ended, and were last looked after before that moment."""
        self._execute("DELETE FROM schedules WHERE file IS NULL AND handled_until < ?", (before,))

    def last_id(self) -> int:
        """The highest id that was ever given."""
        (last,) = self._execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        return int(last)

    def _move(self, run: Run, state: State, **changes: Any) -> None:
        """Bring a run into another state, from the one it was read in."""
        if state not in FOLLOWERS[run.state]:
            raise ValueError(f"{state} does not follow {run.state}")
        assignments = "".join(f", {column} = :{column}" for column in changes)
        self._execute(
            f"UPDATE runs SET state = :state{assignments} WHERE id = :id AND state = :before",
            changes | {"state": state, "id": run.id, "before": run.state},
        )
        if state in ENDED:
            self._settle_after(msgspec.structs.replace(run, state=state), changes["finished_at"])


def _first_reason(refused: Sequence[tuple[Run, RunError]], failures: Mapping[int, Run | None]) -> RunError:
    """Of several runs that cannot be retried, why one cannot, and that not because of another of them."""
    ids = {run.id for run, _ in refused}
    for run, error in refused:
        failed = failures.get(run.prerequisites or 0)
        if failed is None or failed.id not in ids:
            return error
    return refused[0][1]


def _require(run: Run, done: str, *states: State) -> None:
    if run.state not in states:
        raise RunError(
            f"run {run.id} cannot be {done}: it is {run.state}", f"it would have to be {' or '.join(states)}"
        )
