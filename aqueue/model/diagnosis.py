"""The diagnosis of a run: why it waits, or why it failed; and the facts that it is based on."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from aqueue.model.run import Attempt, Run


class Cause(StrEnum):
    """The kinds of diagnoses."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    PREREQUISITE = "prerequisite"
    """A run that it comes after failed or was aborted."""
    LOST = "lost"
    TIMEOUT = "timeout"
    NOT_STARTED = "not started"
    """Its program could not be started."""
    DISK_FULL = "disk full"
    OUT_OF_MEMORY = "out of memory"
    KILLED = "killed"
    """A process that is not known sent it a signal."""
    CRASHED = "crashed"
    """It caused a signal itself, such as SIGSEGV."""
    GPU_OUT_OF_MEMORY = "GPU out of memory"
    GPU_FAULT = "GPU fault"
    MISSING_MODULE = "missing module"
    USAGE = "usage"
    """It was called with wrong arguments."""
    TEMPORARY = "temporary"
    """It asked to be tried again later, by exit code 75."""
    EXCEPTION = "exception"
    EXIT_CODE = "exit code"


class Certainty(StrEnum):
    """The degrees of certainty of a diagnosis."""

    CERTAIN = "certain"
    LIKELY = "very likely"
    GUESS = "guess"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a run at some moment.

    Attributes:
        now: seconds since the epoch.
        attempts: all attempts, oldest first.
        failed: the last attempt that did not succeed, if it is the last that ended; None if there is none.
        lines: the last lines of the output of that attempt, without control codes.
        written_at: when something was last written to that output.
        wait: why the run waits; None if it does not.
        after: the runs that it comes after, each with why it waits.
        usual_seconds: the usual duration of such runs; None if unknown.
        free: directories on disks that may be full, each with its free bytes.
    """

    run: Run
    now: float
    attempts: Sequence[Attempt] = ()
    failed: Attempt | None = None
    lines: Sequence[str] = ()
    written_at: float | None = None
    wait: str | None = None
    after: Sequence[tuple[Run, str | None]] = ()
    usual_seconds: float | None = None
    free: Sequence[tuple[str, int]] = ()


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The reason for the state of a run.

    Attributes:
        verdict: one sentence.
        evidence: the facts that it is based on.
        next_steps: what the user can do.
    """

    cause: Cause
    verdict: str
    certainty: Certainty = Certainty.CERTAIN
    evidence: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
