"""The decision after an attempt ends: whether its run is over or retried. Pure."""

import re
import signal
from typing import Final

import msgspec

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State
from aqueue.policy import error_lines
from aqueue.units import spell

MAX_LOSSES: Final = 3
"""The number of times a lost run is queued again before it fails."""

_NOT_FOUND = re.compile(
    r"(?:^|: )(?P<what>[^:\n]+): (?:(?:command )?not found|No such file or directory)$", re.MULTILINE
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on a run whose attempt has ended.

    Attributes:
        state: the run's next state.
        reason: why it is in that state.
        attempt_reason: why the attempt ended; None if it succeeded.
        ready_at: the earliest next start, in seconds since the epoch.
    """

    state: State
    reason: str | None
    attempt_reason: str | None
    ready_at: float | None = None
    failures: int = 0
    losses: int = 0


_STOPPING = (signal.SIGTERM, signal.SIGKILL)
_FAULTS: Final = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP)
"""The signals that a process causes itself, often after it has printed why."""

_SENT_BY_SHUTDOWN: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
"""The signals that all processes get when a machine or a session ends."""


def lost_in_shutdown(outcome: Outcome, why: str) -> Outcome:
    """Return an outcome as that of a lost attempt if a signal ended it that a shutdown may have sent.

    Args:
        outcome: the outcome of an attempt that ended while the machine was going down.
        why: the sign of that.
    """
    if outcome.end is not End.EXITED or outcome.signal not in _SENT_BY_SHUTDOWN or outcome.run.cancel is not None:
        return outcome
    return msgspec.structs.replace(outcome, end=End.LOST, why=why)


def judge(outcome: Outcome) -> Verdict:
    """Decide the next state of a run: ended, or queued for another attempt."""
    run = outcome.run
    match outcome.end:
        case End.NEVER_STARTED:
            return _back(run, run.reason, None)
        case End.STOPPED:
            return _over(run, State.ABORTED, outcome.why)
        case End.LOST:
            return _lost(run, outcome.why)
        case End.EXITED if outcome.exit_code == 0:
            return _over(run, State.SUCCEEDED, None)
        case End.EXITED if run.cancel is not None and outcome.signal in _STOPPING:
            # The server that stopped it died before it could record that.
            return _over(run, State.ABORTED, run.cancel)
        case _:
            return _failed(outcome)


def explain(outcome: Outcome, log_tail: str = "") -> str:
    """Return in a few words why an attempt failed.

    Args:
        outcome: the outcome of an attempt that exited, timed out or failed to start.
        log_tail: the end of its output.
    """
    if outcome.end is End.TIMED_OUT:
        return f"timed out after {spell(outcome.run.task.timeout or 0)}"
    if outcome.end is End.FAILED_TO_START:
        return outcome.why
    if outcome.exit_code == 127 and (found := _NOT_FOUND.findall(log_tail)):
        return f"command not found: {found[-1].strip()}"
    found_line = error_lines.find(error_lines.lines_of(log_tail))
    if outcome.signal is not None:
        killed = f"killed by {signal.Signals(outcome.signal).name}"
        is_told = found_line is not None and found_line.is_error and outcome.signal in _FAULTS
        return f"{killed}: {found_line.text}" if found_line is not None and is_told else killed
    return f"exit code {outcome.exit_code}" + (f": {found_line.text}" if found_line else "")


def _failed(outcome: Outcome) -> Verdict:
    run, reason = outcome.run, outcome.why or explain(outcome)
    retries = run.task.retries
    if (
        outcome.end is End.FAILED_TO_START
        or run.failures >= retries.limit
        or (retries.exit_codes and outcome.exit_code not in retries.exit_codes)
    ):
        return _over(run, State.FAILED, reason, failures=run.failures + 1)
    retry = run.failures + 1
    delay = retries.seconds_before(retry)
    return _back(
        run,
        f"{reason}; retry {retry} of {retries.limit}",
        reason,
        ready_at=outcome.at + delay if delay else None,
        failures=retry,
    )


def _lost(run: Run, why: str) -> Verdict:
    reason = f"lost: {why}"
    if not run.task.requeue:
        return _over(run, State.FAILED, reason)
    if run.losses >= MAX_LOSSES:
        return _over(run, State.FAILED, f"{reason}; given up after {MAX_LOSSES + 1} losses")
    return _back(run, f"{reason}; queued again", reason, losses=run.losses + 1)


def _over(run: Run, state: State, reason: str | None, failures: int | None = None) -> Verdict:
    return Verdict(
        state=state,
        reason=reason,
        attempt_reason=reason,
        failures=run.failures if failures is None else failures,
        losses=run.losses,
    )


def _back(
    run: Run,
    reason: str | None,
    attempt_reason: str | None,
    *,
    ready_at: float | None = None,
    failures: int | None = None,
    losses: int | None = None,
) -> Verdict:
    if run.cancel is not None:
        return _over(run, State.ABORTED, run.cancel)
    return Verdict(
        state=State.QUEUED,
        reason=reason,
        attempt_reason=attempt_reason,
        ready_at=ready_at,
        failures=run.failures if failures is None else failures,
        losses=run.losses if losses is None else losses,
    )
