"""What happens to runs: the statements that change the store, one method for each thing.

A `Store` is used inside a transaction (see `db`), so each method sees and leaves a consistent state, and what
several methods do is done together. Times come in as arguments, in seconds since the epoch.
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from aqueue.cards import text_of
from aqueue.claims import Claims, cards_as_text
from aqueue.errors import RunError
from aqueue.models import ENDED, FOLLOWERS, Run, State, Task, Trigger
from aqueue.outcomes import End, Outcome, judge
from aqueue.queries import as_json

_task_encoder = msgspec.json.Encoder()
_IS_OVER = f"state IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"


class Store(Claims):
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
    ) -> int | None:
        """Remember a new run of `task`.

        Args:
            run_id: must be unique among the runs of that name; one is made up if None.
            source: which document of which accepted file it is; the same is never added twice.
            scheduled_for: the due time of a schedule that it is made for.
            direct: have it started whatever the limits are.

        Returns:
            its id; None if there already is a run from this source.

        Raises:
            RunError: there is a run of this name with this run_id.
        """
        try:
            row = self._execute(
                "INSERT INTO runs"
                " (name, run_id, queue, priority, state, trigger, task, source, created_at, scheduled_for, direct,"
                " demand) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
                ),
            ).fetchone()
        except sqlite3.IntegrityError:
            raise RunError(
                f"there already is a run {task.name}:{run_id}", "choose another run-id, or leave it out"
            ) from None
        return row[0] if row else None

    def accept(self, source: str, tasks: Sequence[Task], now: float) -> list[int]:
        """Remember the runs of a file that was dropped, once, whoever says it and however often.

        Args:
            source: the name under which the file was claimed.

        Returns:
            the ids, one for each task.
        """
        ids = []
        for index, task in enumerate(tasks):
            document = f"{source}:{index}"
            run_id = source.partition("~")[0] + (f"-{index}" if index else "")
            id_ = self.add(task, now, trigger=Trigger.FILE, run_id=run_id, source=document)
            if id_ is None:
                (id_,) = self._execute("SELECT id FROM runs WHERE source = ?", (document,)).fetchone()
            ids.append(id_)
        return ids

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
        changed = self._execute(
            "UPDATE runs SET state = ?, reason = ?, ready_at = ?, finished_at = ?, failures = ?, losses = ?,"
            " exit_code = ?, signal = ?, server = NULL, cancel = NULL, cards = iif(?, cards, NULL)"
            " WHERE id = ? AND state = 'running' AND server = ? AND attempt = ?",
            (
                verdict.state,
                verdict.reason,
                verdict.ready_at,
                outcome.at if over else None,
                verdict.failures,
                verdict.losses,
                outcome.exit_code,
                outcome.signal,
                over,
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
        return msgspec.structs.replace(
            run,
            state=verdict.state,
            reason=verdict.reason,
            ready_at=verdict.ready_at,
            finished_at=outcome.at if over else None,
            failures=verdict.failures,
            losses=verdict.losses,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            server=None,
            cancel=None,
            cards=run.cards if over else (),
        )

    def cancellations(self, server: str) -> list[tuple[int, str]]:
        """The runs of `server` that somebody wants stopped, and why."""
        return self._execute(
            "SELECT id, cancel FROM runs WHERE state = 'running' AND server = ? AND cancel IS NOT NULL",
            (server,),
        ).fetchall()

    # What people do to runs

    def cancel(self, run: Run, reason: str, now: float) -> State:
        """Abort a run that waits; have its server stop one that runs.

        Returns:
            the state it is in now.

        Raises:
            RunError: it is over.
        """
        _require(run, "cancelled", State.HELD, State.QUEUED, State.RUNNING)
        if run.state is State.RUNNING:
            self._execute("UPDATE runs SET cancel = ? WHERE id = ?", (reason, run.id))
            return State.RUNNING
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        return State.ABORTED

    def dequeue(self, run: Run, reason: str, now: float) -> bool:
        """Take a queued run off its queue; one that never had an attempt is forgotten.

        Returns:
            whether it was forgotten.

        Raises:
            RunError: it is not queued.
        """
        _require(run, "dequeued", State.QUEUED)
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        if self.attempts(run):
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

    def retry(self, run: Run) -> None:
        """Queue a run that is over once more, as a new attempt, with all its retries before it again.

        Raises:
            RunError: it is not over.
        """
        _require(run, "retried", *sorted(ENDED))
        self._move(
            run,
            State.QUEUED,
            reason="retried by hand",
            finished_at=None,
            ready_at=None,
            failures=0,
            losses=0,
            cards=None,
        )

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


def _require(run: Run, done: str, *states: State) -> None:
    if run.state not in states:
        raise RunError(
            f"run {run.id} cannot be {done}: it is {run.state}", f"it would have to be {' or '.join(states)}"
        )
