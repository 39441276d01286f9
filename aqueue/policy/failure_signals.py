"""The diagnosis of an attempt that a signal ended. Pure."""

import signal
from typing import Final

from aqueue.model.diagnosis import Cause, Certainty, Diagnosis
from aqueue.policy import output_signs
from aqueue.policy.failure import Failure
from aqueue.units import spell_size

_SENT: Final = {
    signal.SIGTERM: "`kill` sends it by default, and so does a system that shuts down",
    signal.SIGINT: "Ctrl-C sends it, and so do tools that stop a program",
    signal.SIGHUP: "a terminal that is closed sends it",
}
_LIMITS: Final = {
    signal.SIGXCPU: "its limit of CPU time (`ulimit -t`) was reached",
    signal.SIGXFSZ: "its limit of file size (`ulimit -f`) was reached",
}


def killed_by_sigkill(failure: Failure) -> Diagnosis | None:
    """Return the cause of a SIGKILL, by the kernel's counters of kills for lack of memory."""
    attempt = failure.attempt
    if attempt.signal != signal.SIGKILL:
        return None
    peak = () if attempt.peak_memory is None else (f"its largest process had {spell_size(attempt.peak_memory)}",)
    if attempt.oom_kills_in_group or attempt.oom_kills:
        is_certain = bool(attempt.oom_kills_in_group)
        verdict = "the kernel killed it for lack of memory (OOM)"
        counted = (
            f"the kernel's counter of such kills rose by {attempt.oom_kills_in_group} in its control group"
            if is_certain
            else f"the kernel's counter of such kills rose by {attempt.oom_kills} on this machine"
        )
        return Diagnosis(
            cause=Cause.OUT_OF_MEMORY,
            verdict=verdict if is_certain else f"very likely, {verdict}",
            certainty=Certainty.CERTAIN if is_certain else Certainty.LIKELY,
            evidence=("it ended by SIGKILL", f"{counted} while it ran", *peak),
            next_steps=("let it use less memory, or run less beside it: a queue with fewer slots", failure.retry),
        )
    is_flat = attempt.oom_kills == 0
    counted = "the kernel killed no process for lack of memory while it ran" if is_flat else (
        "no counter of the kernel was read while it ran, so a lack of memory is possible"
    )  # fmt: skip
    return Diagnosis(
        cause=Cause.KILLED,
        verdict="somebody killed it: a user or another program"
        if is_flat
        else "it was killed; nobody saw by whom",
        certainty=Certainty.LIKELY if is_flat else Certainty.GUESS,
        evidence=("it ended by SIGKILL", counted, *peak),
        next_steps=("look for who sends SIGKILL: a person, a memory watchdog such as earlyoom", failure.retry),
    )


def signalled(failure: Failure) -> Diagnosis | None:
    """Return the cause of any other signal."""
    if failure.attempt.signal is None:
        return None
    number = signal.Signals(failure.attempt.signal)
    if number in _LIMITS or number in _SENT:
        is_limit = number in _LIMITS
        return Diagnosis(
            cause=Cause.KILLED,
            verdict=_LIMITS[number] if is_limit else f"somebody, or its own code, sent it {number.name}",
            evidence=(f"it ended by {number.name}", *(() if is_limit else (_SENT[number],))),
            next_steps=(failure.retry,),
        )
    return Diagnosis(
        cause=Cause.CRASHED,
        verdict=f"it crashed with {number.name}, in native code or a library",
        evidence=(f"it ended by {number.name}", *failure.message),
        next_steps=("with PYTHONFAULTHANDLER=1 in `env`, Python prints where it crashed", failure.retry),
    )


def child_out_of_memory(failure: Failure) -> Diagnosis | None:
    """Return the cause if one of its processes was killed for lack of memory."""
    kills = failure.attempt.oom_kills_in_group or failure.attempt.oom_kills
    line = output_signs.KILLED_CHILD.line_in(failure.text)
    if not kills or line is None:
        return None
    return Diagnosis(
        cause=Cause.OUT_OF_MEMORY,
        verdict="very likely, the kernel killed one of its processes for lack of memory (OOM)",
        certainty=Certainty.LIKELY,
        evidence=(f"its output says: {line}", f"the kernel's counter of such kills rose by {kills} while it ran"),
        next_steps=("let it use less memory, for instance with fewer workers", failure.retry),
    )
