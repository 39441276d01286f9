"""The diagnosis of a run: facts in, verdict out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.model.diagnosis import Cause, Certainty, Facts
from aqueue.model.run import Attempt, State
from aqueue.policy.diagnosis import diagnose
from tests.unit.records import a_run, a_task

TRACEBACK = ("Traceback (most recent call last):", '  File "train.py", line 3', "ValueError: bad")


def an_attempt(**changes: Any) -> Attempt:
    plain: dict[str, Any] = {
        "number": 1,
        "started_at": 1000.0,
        "finished_at": 1100.0,
        "exit_code": 1,
        "signal": None,
        "reason": "exit code 1",
    }
    return Attempt(**plain | changes)


def facts(attempt: Attempt, *lines: str, **changes: Any) -> Facts:
    """The facts of a run that failed with this attempt."""
    run = a_run(a_task(timeout=100.0), state=State.FAILED, reason=attempt.reason)
    return Facts(run=run, now=1200.0, attempts=[attempt], failed=attempt, lines=lines, **changes)


@pytest.mark.parametrize(
    ("own", "machine", "cause", "certainty"),
    [
        (1, 1, Cause.OUT_OF_MEMORY, Certainty.CERTAIN),
        (0, 1, Cause.OUT_OF_MEMORY, Certainty.LIKELY),
        (None, 1, Cause.OUT_OF_MEMORY, Certainty.LIKELY),
        (0, 0, Cause.KILLED, Certainty.LIKELY),
        (None, 0, Cause.KILLED, Certainty.LIKELY),
        (None, None, Cause.KILLED, Certainty.GUESS),
    ],
)
def test_a_sigkill_is_judged_by_the_counters_of_kills_for_lack_of_memory(
    own: int | None, machine: int | None, cause: Cause, certainty: Certainty
) -> None:
    killed = an_attempt(exit_code=137, signal=9, oom_kills=machine, oom_kills_in_group=own, peak_memory=3 << 30)
    found = diagnose(facts(killed, *TRACEBACK))
    assert (found.cause, found.certainty) == (cause, certainty)
    assert "its largest process had 3 GiB" in found.evidence


def test_a_timeout_without_output_for_most_of_its_time_is_a_hang() -> None:
    timed_out = an_attempt(exit_code=143, signal=15, reason="timed out after 1m40s", cpu_seconds=0.5)
    hung = diagnose(facts(timed_out, "loading", written_at=1010.0, usual_seconds=20.0))
    assert hung.verdict == "it was stopped after 1m40s, its `timeout`; it seems to have hung"
    assert hung.evidence == (
        "its last output was 1m30s before its end",
        "it used only 500ms of CPU time in 1m40s",
        "such runs usually take 20s",
    )
    assert "hung" not in diagnose(facts(timed_out, "epoch 9", written_at=1099.0)).verdict


def test_what_a_program_prints_about_memory_counts_only_if_the_kernel_killed_something() -> None:
    line = "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed."
    assert diagnose(facts(an_attempt(oom_kills=1), line)).cause is Cause.OUT_OF_MEMORY
    assert diagnose(facts(an_attempt(oom_kills=0), line)).cause is Cause.EXIT_CODE


def test_a_sign_far_above_the_end_of_the_output_does_not_count() -> None:
    line = "OSError: [Errno 28] No space left on device"
    assert diagnose(facts(an_attempt(), line, *["going on"] * 50)).cause is Cause.DISK_FULL
    assert diagnose(facts(an_attempt(), line, *["going on"] * 200)).cause is Cause.EXIT_CODE


def test_a_missing_module_is_explained_with_the_python_that_missed_it() -> None:
    found = diagnose(facts(an_attempt(python="/usr/bin/python3"), "ModuleNotFoundError: No module named 'torch'"))
    assert "torch" in found.verdict
    assert "it ran in /usr/bin/python3" in found.evidence


@pytest.mark.parametrize(
    ("wait", "verdict", "next_step"),
    [
        ("held; `aqueue release 1` queues it", "run 1 is held", "`aqueue release 1` queues it"),
        ("queue a is full: run 2", "run 1 is queued: queue a is full: run 2", None),
        (
            "waits for GPUs: 1 of 2 is free",
            "run 1 is queued: waits for GPUs: 1 of 2 is free",
            "`aqueue gpus` shows",
        ),
        (None, "run 1 is queued: nothing prevents its start any more", None),
    ],
)
def test_a_run_that_waits_is_told_from_its_wait_what_to_do(
    wait: str | None, verdict: str, next_step: str | None
) -> None:
    state = State.HELD if wait and wait.startswith("held") else State.QUEUED
    found = diagnose(Facts(run=a_run(state=state), now=1200.0, wait=wait))
    assert found.cause is Cause.WAITING
    assert found.verdict == verdict
    assert [step.startswith(next_step or "") for step in found.next_steps] == ([True] if next_step else [])


def test_a_run_is_said_to_run_for_as_long_as_it_does_and_usually_does() -> None:
    found = diagnose(Facts(run=a_run(started_at=1000.0), now=1060.0, usual_seconds=120.0))
    assert found.verdict == "run 1 is running, for 1m now"
    assert found.evidence == ("such runs usually take 2m",)


@given(
    state=st.sampled_from(State),
    code=st.none() | st.integers(0, 255),
    number=st.none() | st.sampled_from((1, 2, 6, 9, 11, 15, 24)),
    reason=st.sampled_from(("lost: x", "timed out after 1s", "exit code 1", "cannot be started: no", "killed")),
    lines=st.lists(st.text(max_size=30) | st.sampled_from(TRACEBACK), max_size=5),
    oom_kills=st.none() | st.integers(0, 2),
    has_failed=st.booleans(),
)
def test_whatever_the_facts_there_is_a_verdict_in_one_line(
    state: State,
    code: int | None,
    number: int | None,
    reason: str,
    lines: list[str],
    oom_kills: int | None,
    has_failed: bool,
) -> None:
    attempt = an_attempt(exit_code=code, signal=number, reason=reason, oom_kills=oom_kills)
    run = a_run(state=state, reason=reason)
    clean = ["".join(filter(str.isprintable, line)) for line in lines]
    found = diagnose(Facts(run=run, now=1200.0, failed=attempt if has_failed else None, lines=clean))
    assert found.verdict
    assert found.verdict.isprintable()
    assert all(one.strip() for one in (*found.evidence, *found.next_steps))
