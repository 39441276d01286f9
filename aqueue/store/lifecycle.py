"""What happens to runs: the statements that change the store, one method for each thing.

A `Store` is used inside a transaction (see `db`), so each method sees and leaves a consistent state, and what
several methods do is done together. Times come in as arguments, in seconds since the epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from aqueue.errors import RunError
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, NOT_YET, TRANSITIONS, Run, State
from aqueue.policy.retry import judge
from aqueue.store.claims import cards_as_text
from aqueue.store.runs import IS_OVER, as_json, metrics_as_text
from aqueue.store.submissions import Submissions

_BY_HAND = "retried by hand"
_REPLACED: Final = (
    "state",
    "reason",
    "started_at",
    "finished_at",
    "took",
    "exit_code",
    "signal",
    "failures",
    "losses",
    "cards",
    "metrics",
)
"""What a retry replaces: all that says how a run ended."""


class Store(Submissions):
    """What aqueue remembers.

    Args:
        connection: inside a transaction that may write.
    """

    # A run's life under a server

    def finish(self, outcome: Outcome, server: str) -> Run | None:
        """Record how an attempt ended, and what follows from it.

        Returns:
            the run as it is now; None if this attempt is no longer the server's, and nothing was done.
        """
        run, verdict = outcome.run, judge(outcome)
        is_to_stop = verdict.state in (State.QUEUED, State.FAILED)
        if is_to_stop and (now := self.get(run.id)) and now.cancel is not None:
            # Somebody cancelled it while its attempt was ending: it must not be tried again.
            run = msgspec.structs.replace(run, cancel=now.cancel)
            verdict = judge(msgspec.structs.replace(outcome, run=run))
        over = verdict.state in ENDED
        began = outcome.end is not End.NEVER_STARTED
        is_held_up = verdict.state is State.QUEUED and self._is_held_up(run)
        ready_at = NOT_YET if is_held_up else verdict.ready_at
        # The start that the store has counts: it has moved with the wall clock, if that was set meanwhile.
        changed = self._execute(
            "UPDATE runs SET state = ?, reason = ?, ready_at = ?, finished_at = ?, failures = ?, losses = ?,"
            " exit_code = ?, signal = ?, server = NULL, cancel = NULL, cards = iif(?, cards, NULL), metrics = ?,"
            " took = iif(?, max(? - started_at, 0.0), NULL), before_retry = iif(?, NULL, before_retry)"
            " WHERE id = ? AND state = 'running' AND server = ? AND attempt = ? RETURNING started_at, took",
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
                began,
                outcome.at,
                began,
                run.id,
                server,
                run.attempt,
            ),
        ).fetchone()
        if changed is None:
            return None
        started_at, took = changed
        self._give_back(run.cards, outcome.at)
        if began:
            self._execute(
                "INSERT INTO attempts (run, number, started_at, finished_at, exit_code, signal, reason, cards)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.attempt,
                    started_at,
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
            started_at=started_at,
            took=took,
        )
        if over and not began and self._take_back_retry(run, outcome.at) is not None:
            return self.get(run.id)
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

        One that was aborted because of what it comes after does not come back when that is retried. One that was
        retried by hand and has not begun since is as it was before the retry.

        Returns:
            The state it is in now.

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
        if (before := self._take_back_retry(run, now)) is not None:
            return before
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        return State.ABORTED

    def dequeue(self, run: Run, reason: str, now: float) -> bool:
        """Take a queued run off its queue; one that had no attempt is forgotten, unless others come after it.

        One that was retried by hand and has not begun since is as it was before the retry.

        Returns:
            whether it was forgotten.

        Raises:
            RunError: it is not queued.
        """
        _require(run, "dequeued", State.QUEUED)
        is_kept = bool(self.attempts(run) or self._sets_with(run.id))
        if is_kept and self._take_back_retry(run, now) is not None:
            return False
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        if is_kept:
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
        ready_at = self._ready_at(run, failures)
        self._remember_before_retry(run)
        self._move(
            run,
            State.QUEUED,
            reason=_BY_HAND,
            finished_at=None,
            ready_at=ready_at,
            failures=0,
            losses=0,
            cards=None,
        )
        self._unsettle_after(run.id)

    def _remember_before_retry(self, run: Run) -> None:
        """Keep what a retry replaces, for the case that it is taken back before anything of it has begun."""
        values = self._execute(f"SELECT {', '.join(_REPLACED)} FROM runs WHERE id = ?", (run.id,)).fetchone()
        self._execute("UPDATE runs SET before_retry = ? WHERE id = ?", (as_json(values), run.id))

    def _take_back_retry(self, run: Run, now: float) -> State | None:
        """Bring a run that was retried, and has not begun since, back to how it had ended.

        Returns:
            The state it had ended in; None if it was not retried, or has begun since.
        """
        (text,) = self._execute("SELECT before_retry FROM runs WHERE id = ?", (run.id,)).fetchone()
        if text is None:
            return None
        before = dict(zip(_REPLACED, msgspec.json.decode(text), strict=True))
        assignments = ", ".join(f"{column} = :{column}" for column in before)
        self._execute(
            f"UPDATE runs SET {assignments}, ready_at = NULL, before_retry = NULL WHERE id = :id",
            before | {"id": run.id},
        )
        state = State(before["state"])
        self._settle_after(msgspec.structs.replace(run, state=state), now)
        return state

    # Forgetting

    def ended_before(self, moment: float, limit: int, after: int = 0) -> list[int]:
        """The ids of the runs, at most `limit` from that after `after` on, that were over before `moment`."""
        rows = self._execute(
            f"SELECT id FROM runs WHERE id > ? AND {IS_OVER} AND finished_at < ? ORDER BY id LIMIT ?",
            (after, moment, limit),
        )
        return [id_ for (id_,) in rows]

    def forget_ended(self, ids: Iterable[int], moment: float, incoming: Iterable[str]) -> list[int]:
        """Forget those of the runs that were over before `moment`, and return their ids.

        Args:
            incoming: names of files that were not yet moved to their runs. Those runs are left out: a file whose
                run is forgotten would become a run once more.
        """
        rows = self._execute(
            f"SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND {IS_OVER} AND finished_at < ?"
            " AND (source IS NULL OR"
            " rtrim(rtrim(source, '0123456789'), ':') NOT IN (SELECT value FROM json_each(?)))",
            (as_json(ids), moment, as_json(incoming)),
        )
        old = [id_ for (id_,) in rows]
        self.forget(old)
        return old

    def forget(self, ids: Iterable[int]) -> None:
        """Remove runs that are over, with their attempts."""
        forgotten = self._execute(
            f"DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND {IS_OVER} RETURNING prerequisites",
            (as_json(ids),),
        ).fetchall()
        self._execute(
            "DELETE FROM prerequisites WHERE id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.prerequisites = prerequisites.id)",
            (as_json({set_ for (set_,) in forgotten if set_ is not None}),),
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
        if state not in TRANSITIONS[run.state]:
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
