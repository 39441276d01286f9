"""The diagnosis of a run from its facts. Pure."""

import msgspec

from aqueue.model.diagnosis import Cause, Diagnosis, Facts
from aqueue.model.run import ENDED, SKIPPED, State
from aqueue.policy.failure_causes import diagnose_failure
from aqueue.units import spell

_MAX_LISTED = 5


def diagnose(facts: Facts) -> Diagnosis:
    """Return why a run waits or failed, or what else it does."""
    match facts.run.state:
        case State.HELD | State.QUEUED:
            return _waiting(facts)
        case State.RUNNING:
            return _running(facts)
        case State.SUCCEEDED:
            return _succeeded(facts)
        case State.ABORTED:
            return _aborted(facts)
        case State.FAILED:
            return diagnose_failure(facts)


def _waiting(facts: Facts) -> Diagnosis:
    run = facts.run
    why, _, hint = (facts.wait or "nothing prevents its start any more").partition("; ")
    evidence = [*_last_failure(facts), *_prerequisites(facts)]
    if why.startswith("waits for GPUs"):
        hint = "`aqueue gpus` shows what runs on each GPU"
    elif facts.after and any(other.state in (State.HELD, State.QUEUED) for other, _ in facts.after):
        hint = f"`aqueue why {_first_open(facts)}` says why the run that it waits for has not started"
    state = "" if why.startswith("held") else f"{run.state}: "
    return Diagnosis(
        cause=Cause.WAITING,
        verdict=f"run {run.id} is {state}{why}",
        evidence=tuple(evidence),
        next_steps=(hint,) if hint else (),
    )


def _running(facts: Facts) -> Diagnosis:
    run = facts.run
    elapsed = max(facts.now - (run.started_at or facts.now), 0.0)
    usual = [] if facts.usual_seconds is None else [f"such runs usually take {spell(facts.usual_seconds)}"]
    return Diagnosis(
        cause=Cause.RUNNING,
        verdict=f"run {run.id} is running, for {spell(elapsed)} now",
        evidence=(*_last_failure(facts), *usual),
        next_steps=(f"`aqueue logs -f {run.id}` shows its output",),
    )


def _succeeded(facts: Facts) -> Diagnosis:
    failed = [one for one in facts.attempts if one.reason is not None]
    return Diagnosis(
        cause=Cause.SUCCEEDED,
        verdict=f"run {facts.run.id} succeeded" + (f" in attempt {facts.run.attempt}" if failed else ""),
        evidence=tuple(f"attempt {one.number} failed: {one.reason}" for one in failed[-_MAX_LISTED:]),
    )


def _aborted(facts: Facts) -> Diagnosis:
    run = facts.run
    failed = [other for other, _ in facts.after if other.state in ENDED and other.state is not State.SUCCEEDED]
    evidence = _last_failure(facts)
    if failed and run.reason is not None and "which it comes after" in run.reason:
        first = failed[0]
        return Diagnosis(
            cause=Cause.PREREQUISITE,
            verdict=f"run {run.id} was aborted because {run.reason.removeprefix(SKIPPED)}",
            evidence=(*(f"run {one.id} {one.name} {one.state}: {one.reason}" for one in failed), *evidence),
            next_steps=(
                f"`aqueue why {first.id}` says why run {first.id} {first.state}",
                f"`aqueue retry {first.id}` queues it again, and this run with it",
            ),
        )
    return Diagnosis(
        cause=Cause.CANCELLED,
        verdict=f"run {run.id} was aborted: {run.reason}",
        evidence=tuple(evidence),
        next_steps=(f"`aqueue retry {run.id}` queues it again",),
    )


def _last_failure(facts: Facts) -> list[str]:
    """Return the reason of the last failed attempt, with its diagnosis."""
    failed = facts.failed
    if failed is None or failed.reason == facts.run.reason:
        return []
    found = diagnose_failure(msgspec.structs.replace(facts, after=()))
    return [f"attempt {failed.number} failed: {failed.reason}", found.verdict]


def _prerequisites(facts: Facts) -> list[str]:
    return [
        f"run {other.id} {other.name} is {other.state}" + (f": {wait}" if wait else "")
        for other, wait in facts.after[:_MAX_LISTED]
        if other.state not in ENDED
    ]


def _first_open(facts: Facts) -> int:
    return next(other.id for other, _ in facts.after if other.state in (State.HELD, State.QUEUED))
