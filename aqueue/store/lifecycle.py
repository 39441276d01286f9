"""Changes of runs: the ends of their attempts, and what people do to them, one method for each.

Each method sees and leaves a consistent state, and what several methods do in a transaction is done together.
Times come in as arguments, in seconds since the epoch.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from aqueue.errors import RunError
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, NOT_YET, TRANSITIONS, Run, State
from aqueue.policy.retry import judge
from aqueue.store.attempts import Attempts
from aqueue.store.dependencies import Dependencies
from aqueue.store.gpus import Gpus
from aqueue.store.rows import RUN, as_json, fetch_run, metrics_as_text
from aqueue.store.runs import Runs

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
    "gpus",
    "metrics",
)
"""The columns that a retry replaces: all that say how a run ended."""

_FINISH: Final = (
    # The start that the store has counts: it has moved with the wall clock, if that was set meanwhile.
    "UPDATE runs SET state = :state, reason = :reason, ready_at = :ready_at, finished_at = iif(:over, :at, NULL),"
    " failures = :failures, losses = :losses, exit_code = :exit_code, signal = :signal, server = NULL,"
    " cancel = NULL, gpus = iif(:over, gpus, NULL), metrics = :metrics,"
    " took = iif(:began, max(:at - started_at, 0.0), NULL), before_retry = iif(:began, NULL, before_retry)"
    " WHERE id = :id AND state = 'running' AND server = :server AND attempt = :attempt"
    f" RETURNING {RUN}"
)
_CANCELLATIONS: Final = "SELECT id, cancel FROM runs WHERE state = 'running' AND server = ? AND cancel IS NOT NULL"
_READ_REPLACED: Final = f"SELECT {', '.join(_REPLACED)} FROM runs WHERE id = ?"
_TAKE_BACK: Final = (
    f"UPDATE runs SET {', '.join(f'{column} = :{column}' for column in _REPLACED)},"
    " ready_at = NULL, before_retry = NULL WHERE id = :id"
)


class Lifecycle:
    """The transitions of runs from state to state.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(
        self,
        transaction: sqlite3.Connection,
        runs: Runs,
        attempts: Attempts,
        dependencies: Dependencies,
        gpus: Gpus,
    ) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._runs = runs
        self._attempts = attempts
        self._dependencies = dependencies
        self._gpus = gpus

    # A run's life under a server

    def finish(self, outcome: Outcome, server: str) -> Run | None:
        """Record how an attempt ended, and update the runs that depend on it.

        Returns:
            the run as it is now; None if this attempt is no longer the server's, and nothing was done.
        """
        run, verdict = outcome.run, judge(outcome)
        is_to_stop = verdict.state in (State.QUEUED, State.FAILED)
        if is_to_stop and (now := self._runs.get(run.id)) and now.cancel is not None:
            # Somebody cancelled it while its attempt was ending: it must not be tried again.
            run = msgspec.structs.replace(run, cancel=now.cancel)
            verdict = judge(msgspec.structs.replace(outcome, run=run))
        over = verdict.state in ENDED
        began = outcome.end is not End.NEVER_STARTED
        is_held_up = verdict.state is State.QUEUED and self._dependencies.is_held_up(run)
        finished = fetch_run(
            self._transaction,
            _FINISH,
            {
                "state": verdict.state,
                "reason": verdict.reason,
                "ready_at": NOT_YET if is_held_up else verdict.ready_at,
                "over": over,
                "at": outcome.at,
                "failures": verdict.failures,
                "losses": verdict.losses,
                "exit_code": outcome.exit_code,
                "signal": outcome.signal,
                "metrics": metrics_as_text(outcome.metrics),
                "began": began,
                "id": run.id,
                "server": server,
                "attempt": run.attempt,
            },
        )
        if finished is None:
            return None
        self._gpus.give_back(run.gpus, outcome.at)
        self._attempts.end(outcome, verdict.attempt_reason)
        if over and not began and self._take_back_retry(run, outcome.at) is not None:
            return self._runs.get(run.id)
        if over:
            self._dependencies.settle_after(finished, outcome.at)
        elif is_held_up and run.prerequisites is not None:
            self._dependencies.settle(run.prerequisites, outcome.at)
            return self._runs.get(run.id)
        return finished

    def cancellations(self, server: str) -> list[tuple[int, str]]:
        """Return the runs of `server` that somebody wants stopped, and why."""
        return self._execute(_CANCELLATIONS, (server,)).fetchall()

    # Changes that people make

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
        is_kept = bool(self._runs.attempts(run)) or self._dependencies.is_prerequisite(run)
        if is_kept and self._take_back_retry(run, now) is not None:
            return False
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        if is_kept:
            return False
        self._runs.forget([run.id])
        return True

    def hold(self, run: Run) -> None:
        """Hold a queued run: it is not started until it is released.

        Raises:
            RunError: it is not queued.
        """
        _require(run, "held", State.QUEUED)
        self._move(run, State.HELD)

    def release(self, run: Run) -> None:
        """Queue a held run.

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
            self._dependencies.bring_back()
            # Their prerequisites may have been retried meanwhile.
            left = [run for run, _ in refused]

    def _retry(self, run: Run, failures: dict[int, Run | None]) -> None:
        _require(run, "retried", *sorted(ENDED))
        if run.id in self._dependencies.brought_back:
            # It is back already; perhaps as held, but whoever retries it wants it to start.
            self._execute("UPDATE runs SET state = 'queued', reason = ? WHERE id = ?", (_BY_HAND, run.id))
            return
        ready_at = self._dependencies.ready_at(run, failures)
        self._remember_before_retry(run)
        self._move(
            run,
            State.QUEUED,
            reason=_BY_HAND,
            finished_at=None,
            ready_at=ready_at,
            failures=0,
            losses=0,
            gpus=None,
        )
        self._dependencies.unsettle_after(run.id)

    def _remember_before_retry(self, run: Run) -> None:
        """Record the values that a retry replaces, in case it is taken back before it has begun."""
        values = self._execute(_READ_REPLACED, (run.id,)).fetchone()
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
        self._execute(_TAKE_BACK, before | {"id": run.id})
        state = State(before["state"])
        self._dependencies.settle_after(msgspec.structs.replace(run, state=state), now)
        return state

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
            self._dependencies.settle_after(msgspec.structs.replace(run, state=state), changes["finished_at"])


def _first_reason(refused: Sequence[tuple[Run, RunError]], failures: Mapping[int, Run | None]) -> RunError:
    """Return why one of several runs cannot be retried, and that not because of another of them."""
    ids = {run.id for run, _ in refused}
    for run, error in refused:
        failed = failures.get(run.prerequisites or 0)
        if failed is None or failed.id not in ids:
            return error
    return refused[0][1]


def _either(states: Sequence[State]) -> str:
    *others, last = states
    return f"{', '.join(others)} or {last}" if others else last


def _require(run: Run, done: str, *states: State) -> None:
    if run.state not in states:
        raise RunError(
            f"run {run.id} cannot be {done}: it is {run.state}", f"it would have to be {_either(states)}"
        )
