"""Changes of runs: the ends of their attempts and the actions of users, one method for each.

Each method starts from and leaves a consistent state; several in one transaction are committed together.
Times are arguments, in seconds since the epoch.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from aqueue.errors import RunError
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, NOT_YET, TRANSITIONS, Run, State
from aqueue.policy.retry import judge
from aqueue.store import before_retry
from aqueue.store.attempts import Attempts
from aqueue.store.dependencies import Dependencies
from aqueue.store.gpus import Gpus
from aqueue.store.rows import RUN, fetch_run, metrics_as_text
from aqueue.store.runs import Runs
from aqueue.units import either

_BY_HAND = "retried by hand"
_FINISH: Final = (
    # The start time in the store counts: if the wall clock was set meanwhile, it was moved along.
    "UPDATE runs SET state = :state, reason = :reason, ready_at = :ready_at, finished_at = iif(:over, :at, NULL),"
    " failures = :failures, losses = :losses, exit_code = :exit_code, signal = :signal, server = NULL,"
    " cancel = NULL, gpus = iif(:over, gpus, NULL), metrics = :metrics,"
    " took = iif(:began, max(:at - started_at, 0.0), NULL), before_retry = iif(:began, NULL, before_retry)"
    " WHERE id = :id AND state = 'running' AND server = :server AND attempt = :attempt"
    f" RETURNING {RUN}"
)
_CANCELLATIONS: Final = "SELECT id, cancel FROM runs WHERE state = 'running' AND server = ? AND cancel IS NOT NULL"


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

    # Changes by servers

    def finish(self, outcome: Outcome, server: str) -> Run | None:
        """Record the end of an attempt, and update the runs that depend on its run.

        Returns:
            the run as it is now; None if the attempt no longer belongs to `server`, and nothing changed.
        """
        run, verdict = outcome.run, judge(outcome)
        is_to_stop = verdict.state in (State.QUEUED, State.FAILED)
        if is_to_stop and (now := self._runs.get(run.id)) and now.cancel is not None:
            # It was cancelled while its attempt ended: it must not be retried.
            run = msgspec.structs.replace(run, cancel=now.cancel)
            verdict = judge(msgspec.structs.replace(outcome, run=run))
        over = verdict.state in ENDED
        began = outcome.end is not End.NEVER_STARTED
        has_unmet_prerequisites = verdict.state is State.QUEUED and self._dependencies.has_unmet_prerequisites(run)
        finished = fetch_run(
            self._transaction,
            _FINISH,
            {
                "state": verdict.state,
                "reason": verdict.reason,
                "ready_at": NOT_YET if has_unmet_prerequisites else verdict.ready_at,
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
            self._dependencies.update_dependents(finished, outcome.at)
        elif has_unmet_prerequisites and run.prerequisites is not None:
            self._dependencies.update_waiting(run.prerequisites, outcome.at)
            return self._runs.get(run.id)
        return finished

    def cancellations(self, server: str) -> list[tuple[int, str]]:
        """Return the ids of the runs of `server` to stop, each with the reason."""
        return self._execute(_CANCELLATIONS, (server,)).fetchall()

    # Changes by users

    def cancel(self, run: Run, reason: str, now: float) -> State:
        """Abort a waiting run; ask the server of a running one to stop it.

        A run already aborted because of a prerequisite then stays aborted when that is retried. A retried run that
        has not started since returns to its state before the retry.

        Returns:
            its state now.

        Raises:
            RunError: the run is over.
        """
        if run.state is State.ABORTED and run.ready_at == NOT_YET:
            self._execute("UPDATE runs SET reason = ?, ready_at = NULL WHERE id = ?", (reason, run.id))
            return State.ABORTED
        require(run, "cancelled", State.HELD, State.QUEUED, State.RUNNING)
        if run.state is State.RUNNING:
            self._execute("UPDATE runs SET cancel = ? WHERE id = ?", (reason, run.id))
            return State.RUNNING
        if (before := self._take_back_retry(run, now)) is not None:
            return before
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        return State.ABORTED

    def dequeue(self, run: Run, reason: str, now: float) -> bool:
        """Take a queued run off its queue; forget one without attempts, unless other runs depend on it.

        A retried run that has not started since returns to its state before the retry.

        Returns:
            True if the run was forgotten.

        Raises:
            RunError: it is not queued.
        """
        require(run, "dequeued", State.QUEUED)
        is_kept = bool(self._runs.attempts(run)) or self._dependencies.is_prerequisite(run)
        if is_kept and self._take_back_retry(run, now) is not None:
            return False
        self._move(run, State.ABORTED, reason=reason, finished_at=now, ready_at=None)
        if is_kept:
            return False
        self._runs.forget([run.id])
        return True

    def hold(self, run: Run) -> None:
        """Hold a queued run until it is released.

        Raises:
            RunError: it is not queued.
        """
        require(run, "held", State.QUEUED)
        self._move(run, State.HELD)

    def release(self, run: Run) -> None:
        """Queue a held run.

        Raises:
            RunError: it is not held.
        """
        require(run, "released", State.HELD)
        self._move(run, State.QUEUED)

    def retry(self, runs: Iterable[Run]) -> None:
        """Queue ended runs again, with their full number of retries.

        Dependents that were aborted only because of these runs wait for them again.

        Raises:
            RunError: a run is not over, or has a prerequisite that did not succeed and is not retried.
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
            self._dependencies.restore_aborted()
            # Their prerequisites may have been retried by this loop.
            left = [run for run, _ in refused]

    def _retry(self, run: Run, failures: dict[int, Run | None]) -> None:
        require(run, "retried", *sorted(ENDED))
        if run.id in self._dependencies.restored:
            # A retried prerequisite has restored it, perhaps as held; a retry asks for it to start.
            self._execute("UPDATE runs SET state = 'queued', reason = ? WHERE id = ?", (_BY_HAND, run.id))
            return
        ready_at = self._dependencies.ready_at(run, failures)
        before_retry.remember(self._transaction, run.id)
        self._move(
            run,
            State.QUEUED,
            reason=_BY_HAND,
            finished_at=None,
            ready_at=ready_at,
            failures=0,
            losses=0,
            gpus=None,
            place=None,
        )
        self._dependencies.block_dependents(run.id)

    def _take_back_retry(self, run: Run, now: float) -> State | None:
        """Undo the retry of a run that has not started since.

        Returns:
            its state before the retry; None if it was not retried, or has started since.
        """
        state = before_retry.restore(self._transaction, run.id)
        if state is not None:
            self._dependencies.update_dependents(msgspec.structs.replace(run, state=state), now)
        return state

    def _move(self, run: Run, state: State, **changes: Any) -> None:
        """Move a run from the state it was read in to another."""
        if state not in TRANSITIONS[run.state]:
            raise ValueError(f"{state} does not follow {run.state}")
        assignments = "".join(f", {column} = :{column}" for column in changes)
        self._execute(
            f"UPDATE runs SET state = :state{assignments} WHERE id = :id AND state = :before",
            changes | {"state": state, "id": run.id, "before": run.state},
        )
        if state in ENDED:
            self._dependencies.update_dependents(msgspec.structs.replace(run, state=state), changes["finished_at"])


def _first_reason(refused: Sequence[tuple[Run, RunError]], failures: Mapping[int, Run | None]) -> RunError:
    """Return the error of a run that fails for a reason other than the rest of `refused`."""
    ids = {run.id for run, _ in refused}
    for run, error in refused:
        failed = failures.get(run.prerequisites or 0)
        if failed is None or failed.id not in ids:
            return error
    return refused[0][1]


def require(run: Run, done: str, *states: State) -> None:
    """Check that a run is in one of these states.

    Args:
        done: the past participle of what is to be done.

    Raises:
        RunError: it is in another.
    """
    if run.state not in states:
        raise RunError(
            f"run {run.id} cannot be {done}: it is {run.state}", f"only {either(states)} runs can be {done}"
        )
