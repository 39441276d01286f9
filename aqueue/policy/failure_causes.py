"""The diagnosis of an attempt that failed, by its exit code, its counters and its output. Pure.

Each rule recognises one cause; the first that does so decides.
"""

import re
from collections.abc import Callable
from typing import Final

from aqueue.model.diagnosis import Cause, Certainty, Diagnosis, Facts
from aqueue.policy import error_lines, failure_signals, output_signs
from aqueue.policy.failure import Failure
from aqueue.units import spell, spell_size

_TEMPORARY: Final = 75
_HUNG: Final = 0.5
"""The share of its duration without output after which an attempt seems to hang."""

_IDLE: Final = 0.1
"""The share of its duration in CPU time below which an attempt did little."""


def diagnose_failure(facts: Facts) -> Diagnosis:
    """Return why the last attempt of a run failed."""
    if facts.failed is None:
        return Diagnosis(
            cause=Cause.NOT_STARTED,
            verdict=f"run {facts.run.id} failed: {facts.run.reason}",
            next_steps=(f"`aqueue retry {facts.run.id}` queues it again",),
        )
    error = error_lines.find(facts.lines)
    failure = Failure(
        facts, facts.run, facts.failed, facts.failed.reason or "", error, output_signs.searched(facts.lines)
    )
    return next(found for rule in _RULES if (found := rule(failure)) is not None)


def _lost(failure: Failure) -> Diagnosis | None:
    if not failure.reason.startswith("lost: "):
        return None
    why = failure.reason.removeprefix("lost: ").partition(";")[0]
    requeue = () if failure.run.task.requeue else ("with `requeue: true`, a lost run is queued again by itself",)
    return Diagnosis(
        cause=Cause.LOST,
        verdict=f"nobody saw attempt {failure.attempt.number} end: {why}",
        evidence=("its exit code is unknown",),
        next_steps=(failure.retry, *requeue),
    )


def _timed_out(failure: Failure) -> Diagnosis | None:
    if not failure.reason.startswith("timed out"):
        return None
    limit = spell(failure.run.task.timeout or 0.0)
    evidence, seems_hung = _activity(failure)
    if failure.facts.usual_seconds is not None:
        evidence.append(f"such runs usually take {spell(failure.facts.usual_seconds)}")
    hung = "; it seems to have hung" if seems_hung else ""
    return Diagnosis(
        cause=Cause.TIMEOUT,
        verdict=f"it was stopped after {limit}, its `timeout`{hung}",
        evidence=tuple(evidence),
        next_steps=(
            *(("its last lines show where it stood still",) if seems_hung else ()),
            "if it needs more time, give it a longer `timeout`",
            failure.retry,
        ),
    )


def _activity(failure: Failure) -> tuple[list[str], bool]:
    """Return what is known of its last output and its CPU time, and whether it seems to have hung."""
    attempt, evidence, seems_hung = failure.attempt, [], False
    if attempt.finished_at is None:
        return [], False
    duration = attempt.finished_at - attempt.started_at
    written_at = failure.facts.written_at
    if failure.error is None:
        evidence.append("it wrote no output")
    elif written_at is not None and attempt.started_at <= written_at <= attempt.finished_at:
        silence = attempt.finished_at - written_at
        seems_hung = silence > _HUNG * duration
        evidence.append(f"its last output was {spell(silence)} before its end")
    if attempt.cpu_seconds is not None and attempt.cpu_seconds < _IDLE * duration:
        evidence.append(f"it used only {spell(attempt.cpu_seconds)} of CPU time in {spell(duration)}")
    return evidence, seems_hung


def _disk_full(failure: Failure) -> Diagnosis | None:
    line = output_signs.DISK_FULL.line_in(failure.text)
    if line is None:
        return None
    free = (f"{spell_size(size)} are free in {path} now" for path, size in failure.facts.free)
    return Diagnosis(
        cause=Cause.DISK_FULL,
        verdict="the disk, or its quota, seems to have been full",
        certainty=Certainty.GUESS,
        evidence=(f"its output says: {line}", *free),
        next_steps=("make room; `aqueue prune` deletes old runs and their files", failure.retry),
    )


def _not_started(failure: Failure) -> Diagnosis | None:
    code, reason = failure.attempt.exit_code, failure.reason
    if code is None and reason:
        return Diagnosis(
            cause=Cause.NOT_STARTED,
            verdict=f"it {reason}" if reason.startswith("cannot be started") else reason,
            next_steps=("correct the task, and queue it again",),
        )
    if code not in (126, 127):
        return None
    what = "was not found" if code == 127 else "was found, but cannot be run"
    missing = output_signs.MISSING_PROGRAM.line_in(failure.text)
    steps = ["check the command with `aqueue show`, and PATH, which is that of the server unless `env` sets it"]
    if "not executable" in reason or code == 126:
        steps = ["make the program executable with `chmod +x`, or start it with its interpreter"]
    return Diagnosis(
        cause=Cause.NOT_STARTED,
        verdict=f"a program {what}: {_without_code(reason)}",
        evidence=(f"exit code {code}", *((f"its output says: {missing}",) if missing else ())),
        next_steps=(*steps, failure.retry),
    )


def _recognised(failure: Failure) -> Diagnosis | None:
    for sign in output_signs.SIGNS:
        if (line := sign.line_in(failure.text)) is not None:
            is_of_python = sign.cause is Cause.MISSING_MODULE and failure.attempt.python is not None
            python = (f"it ran in {failure.attempt.python}",) if is_of_python else ()
            return Diagnosis(
                cause=sign.cause,
                verdict=sign.verdict_on(line),
                certainty=Certainty.GUESS,
                evidence=(f"its output says: {line}", *python),
                next_steps=(*sign.next_steps, failure.retry),
            )
    return None


def _by_exit_code(failure: Failure) -> Diagnosis | None:
    code = failure.attempt.exit_code
    usage = output_signs.USAGE.line_in(failure.text)
    if code == 2 and usage is not None:
        return Diagnosis(
            cause=Cause.USAGE,
            verdict="its program was called with wrong arguments",
            certainty=Certainty.GUESS,
            evidence=("exit code 2, by which programs report wrong usage", f"its output says: {usage}"),
            next_steps=(f"compare the command in `aqueue show {failure.run.id}` with the program's help",),
        )
    if code == _TEMPORARY:
        retries = failure.run.task.retries.limit
        return Diagnosis(
            cause=Cause.TEMPORARY,
            verdict="it asked to be tried again later",
            evidence=("exit code 75, by which programs report a temporary failure", *failure.message),
            next_steps=(
                "give it more `retries`, with a `delay`"
                if retries
                else "give it `retries: {limit: 3, delay: 1m}`",
                failure.retry,
            ),
        )
    return None


def _by_last_line(failure: Failure) -> Diagnosis:
    error = failure.error
    code = f"exit code {failure.attempt.exit_code}"
    logs = f"`aqueue logs {failure.run.id} --attempt {failure.attempt.number}` shows the whole output"
    if error is not None and error.first != error.last:
        return Diagnosis(
            cause=Cause.EXCEPTION,
            verdict=f"its Python code raised {error.text}",
            evidence=(code,),
            next_steps=("correct the code", failure.retry),
        )
    if error is None:
        return Diagnosis(
            cause=Cause.EXIT_CODE,
            verdict=f"its command ended with {code}, and wrote no output",
            next_steps=(
                "let it print what goes wrong, for instance with `set -x` in a shell script",
                failure.retry,
            ),
        )
    return Diagnosis(
        cause=Cause.EXIT_CODE,
        verdict=f"its command ended with {code}, and its output says: {error.text}",
        certainty=Certainty.CERTAIN if error.is_error else Certainty.GUESS,
        next_steps=(logs, failure.retry),
    )


def _without_code(reason: str) -> str:
    return re.sub(r"^(exit code \d+|command not found): ", "", reason)


_RULES: Final[tuple[Callable[[Failure], Diagnosis | None], ...]] = (
    _lost,
    _timed_out,
    _disk_full,
    _not_started,
    failure_signals.killed_by_sigkill,
    failure_signals.signalled,
    failure_signals.child_out_of_memory,
    _recognised,
    _by_exit_code,
    _by_last_line,
)
