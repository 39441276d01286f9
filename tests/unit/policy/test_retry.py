import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import TRANSITIONS, Run, State
from aqueue.model.task import Retries
from aqueue.policy.retry import MAX_LOSSES, Verdict, explain, judge, lost_in_shutdown
from tests.unit.records import a_run, a_task


def after(run: Run, end: End, code: int | None = None, why: str = "") -> Verdict:
    return judge(Outcome(run=run, end=end, at=2000.0, exit_code=code, why=why))


def a_run_with(retries: Retries, failures: int = 0) -> Run:
    return a_run(a_task(retries=retries), failures=failures)


def test_exit_code_0_is_success_and_needs_no_reason() -> None:
    assert after(a_run(), End.EXITED, 0) == Verdict(state=State.SUCCEEDED, reason=None, attempt_reason=None)


def test_any_other_exit_code_is_a_failure_that_says_it() -> None:
    verdict = after(a_run(), End.EXITED, 3)
    assert verdict == Verdict(state=State.FAILED, reason="exit code 3", attempt_reason="exit code 3", failures=1)


@pytest.mark.parametrize("failures", [0, 1])
def test_a_failed_run_is_tried_again_while_it_has_retries_left(failures: int) -> None:
    verdict = after(a_run_with(Retries(limit=2), failures), End.EXITED, 1)
    assert verdict == Verdict(
        state=State.QUEUED,
        reason=f"exit code 1; retry {failures + 1} of 2",
        attempt_reason="exit code 1",
        failures=failures + 1,
    )


def test_a_run_without_retries_left_has_failed() -> None:
    verdict = after(a_run_with(Retries(limit=2), failures=2), End.EXITED, 1)
    assert (verdict.state, verdict.reason, verdict.failures) == (State.FAILED, "exit code 1", 3)


@pytest.mark.parametrize(("failures", "ready_at"), [(0, 2010.0), (1, 2020.0), (2, 2025.0), (3, 2025.0)])
def test_a_retry_waits_longer_each_time_up_to_the_longest_delay(failures: int, ready_at: float) -> None:
    retries = Retries(limit=5, delay=10.0, backoff=2.0, max_delay=25.0)
    assert after(a_run_with(retries, failures), End.EXITED, 1).ready_at == ready_at


def test_a_retry_without_delay_may_start_at_once() -> None:
    assert after(a_run_with(Retries(limit=1)), End.EXITED, 1).ready_at is None


@pytest.mark.parametrize(("code", "state"), [(75, State.QUEUED), (1, State.QUEUED), (2, State.FAILED)])
def test_with_exit_codes_given_only_those_are_tried_again(code: int, state: State) -> None:
    assert after(a_run_with(Retries(limit=1, exit_codes=(1, 75))), End.EXITED, code).state is state


def test_a_run_that_timed_out_is_tried_again_like_any_failure() -> None:
    task = a_task(timeout=7200.0, retries=Retries(limit=1))
    verdict = after(a_run(task), End.TIMED_OUT, 143)
    assert (verdict.state, verdict.attempt_reason) == (State.QUEUED, "timed out after 2h")


def test_a_run_that_cannot_start_is_not_tried_again() -> None:
    verdict = after(a_run_with(Retries(limit=5)), End.FAILED_TO_START, why="cannot be started: no such directory")
    assert (verdict.state, verdict.reason) == (State.FAILED, "cannot be started: no such directory")


def test_a_run_that_was_stopped_is_aborted_and_not_tried_again() -> None:
    verdict = after(a_run_with(Retries(limit=5)), End.STOPPED, 143, why="cancelled")
    assert (verdict.state, verdict.reason, verdict.failures) == (State.ABORTED, "cancelled", 0)


def test_a_run_of_which_nothing_ran_is_queued_as_it_was() -> None:
    verdict = after(a_run(failures=1, losses=2), End.NEVER_STARTED)
    assert verdict == Verdict(state=State.QUEUED, reason=None, attempt_reason=None, failures=1, losses=2)


def test_a_lost_run_is_queued_again_three_times_and_then_given_up() -> None:
    run, verdicts = a_run(), []
    for _ in range(MAX_LOSSES + 1):
        verdicts.append(after(run, End.LOST, why="the machine was restarted"))
        run = a_run(losses=verdicts[-1].losses)
    assert [verdict.state for verdict in verdicts] == [State.QUEUED] * 3 + [State.FAILED]
    assert verdicts[0].reason == "lost: the machine was restarted; queued again"
    assert verdicts[0].attempt_reason == "lost: the machine was restarted"
    assert verdicts[-1].reason == "lost: the machine was restarted; given up after 4 losses"


def test_a_loss_uses_up_no_retry() -> None:
    assert after(a_run_with(Retries(limit=1), failures=1), End.LOST, why="x").failures == 1


def test_a_failure_is_no_loss() -> None:
    assert after(a_run(a_task(retries=Retries(limit=1)), losses=2), End.EXITED, 1).losses == 2


def test_a_lost_run_that_is_not_to_be_queued_again_has_failed() -> None:
    verdict = after(a_run(a_task(requeue=False)), End.LOST, why="the machine was restarted")
    assert (verdict.state, verdict.reason) == (State.FAILED, "lost: the machine was restarted")


@pytest.mark.parametrize("end", [End.EXITED, End.TIMED_OUT, End.LOST, End.NEVER_STARTED])
def test_a_run_that_was_cancelled_while_it_ended_is_not_queued_again(end: End) -> None:
    run = a_run(a_task(retries=Retries(limit=5)), cancel="cancelled by a person")
    verdict = after(run, end, 1 if end is End.EXITED else None)
    assert (verdict.state, verdict.reason) == (State.ABORTED, "cancelled by a person")


@pytest.mark.parametrize("code", [143, 137])
def test_a_run_that_was_stopped_by_somebody_who_did_not_live_to_record_it_is_aborted(code: int) -> None:
    task = a_task(retries=Retries(limit=5))
    verdict = after(a_run(task, cancel="stopped with the server"), End.EXITED, code)
    assert (verdict.state, verdict.reason) == (State.ABORTED, "stopped with the server")
    assert after(a_run(cancel="too late"), End.EXITED, 3).state is State.FAILED


def test_a_run_that_succeeded_before_it_could_be_cancelled_has_succeeded() -> None:
    assert after(a_run(cancel="too late"), End.EXITED, 0).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (128, "exit code 128"),
        (137, "killed by SIGKILL"),
        (139, "killed by SIGSEGV"),
        (143, "killed by SIGTERM"),
        (255, "exit code 255"),
    ],
)
def test_a_signal_is_called_by_its_name(code: int, words: str) -> None:
    assert after(a_run(), End.EXITED, code).reason == words


@given(st.sampled_from(signal.Signals))
def test_an_exit_code_above_128_tells_the_signal(number: signal.Signals) -> None:
    assert Outcome(run=a_run(), end=End.EXITED, at=0.0, exit_code=128 + number).signal == number


@pytest.mark.parametrize("code", [None, 0, 1, 9, 127, 128, 255])
def test_other_exit_codes_tell_of_no_signal(code: int | None) -> None:
    assert Outcome(run=a_run(), end=End.EXITED, at=0.0, exit_code=code).signal is None


@pytest.mark.parametrize(
    "log",
    [
        "sh: 1: trian.py: not found\n",
        "/bin/sh: line 1: trian.py: command not found\n",
        "bash: trian.py: command not found",
        "epoch 1\nepoch 2\nsh: 3: trian.py: not found\n",
        "sh: 1: other: not found\nsh: 2: trian.py: not found\n",
    ],
)
def test_a_command_that_the_shell_did_not_find_is_named(log: str) -> None:
    outcome = Outcome(run=a_run(), end=End.EXITED, at=0.0, exit_code=127)
    assert explain(outcome, log) == "command not found: trian.py"


def test_a_command_that_says_not_found_with_another_exit_code_is_believed_by_its_exit_code() -> None:
    outcome = Outcome(run=a_run(), end=End.EXITED, at=0.0, exit_code=1)
    assert explain(outcome, "x: not found") == "exit code 1: x: not found"


def test_exit_code_127_without_a_word_of_the_shell_is_told_as_it_is() -> None:
    assert explain(Outcome(run=a_run(), end=End.EXITED, at=0.0, exit_code=127)) == "exit code 127"


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (
            1,
            "epoch 3\nTraceback (most recent call last):\n  File …\nValueError: bad\n",
            "exit code 1: ValueError: bad",
        ),
        (3, "epoch 3\n", "exit code 3: epoch 3"),
        (134, "terminate called\n  what():  no such file\n", "killed by SIGABRT: what():  no such file"),
        (139, "epoch 3\n", "killed by SIGSEGV"),
        (137, "error: could not be cached\n", "killed by SIGKILL"),
    ],
)
def test_the_reason_of_a_failure_has_the_line_of_the_output_that_tells_why(
    code: int, log: str, words: str
) -> None:
    outcome = Outcome(run=a_run(), end=End.EXITED, at=0.0, exit_code=code)
    assert explain(outcome, log) == words


def test_a_better_explanation_that_is_known_already_is_kept() -> None:
    assert after(a_run(), End.EXITED, 127, why="command not found: x").reason == "command not found: x"


@given(
    end=st.sampled_from(End),
    code=st.none() | st.integers(0, 255),
    limit=st.integers(0, 3),
    failures=st.integers(0, 4),
    losses=st.integers(0, MAX_LOSSES),
    requeue=st.booleans(),
    cancel=st.none() | st.just("cancelled"),
)
def test_every_outcome_leads_to_a_state_that_may_follow(
    end: End, code: int | None, limit: int, failures: int, losses: int, requeue: bool, cancel: str | None
) -> None:
    task = a_task(retries=Retries(limit=limit), requeue=requeue)
    verdict = after(a_run(task, failures=failures, losses=losses, cancel=cancel), end, code, why="so")
    assert verdict.state in TRANSITIONS[State.RUNNING]
    assert (verdict.state is State.QUEUED) <= (cancel is None)
    assert (verdict.ready_at is not None) <= (verdict.state is State.QUEUED)
    assert failures <= verdict.failures <= failures + 1
    assert losses <= verdict.losses <= MAX_LOSSES
    assert verdict.reason or verdict.state is State.SUCCEEDED or end is End.NEVER_STARTED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_attempt_that_a_shutdown_ended_is_lost_and_queued_again(number: signal.Signals) -> None:
    outcome = Outcome(run=a_run(), end=End.EXITED, at=2000.0, exit_code=128 + number)
    verdict = judge(lost_in_shutdown(outcome, "the machine was restarted"))
    assert (verdict.state, verdict.reason) == (State.QUEUED, "lost: the machine was restarted; queued again")
    assert (verdict.failures, verdict.losses) == (0, 1)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(run=a_run(), end=End.EXITED, at=2000.0, exit_code=0),
        Outcome(run=a_run(), end=End.EXITED, at=2000.0, exit_code=1),
        Outcome(run=a_run(), end=End.EXITED, at=2000.0, exit_code=128 + signal.SIGSEGV),
        Outcome(run=a_run(), end=End.STOPPED, at=2000.0, exit_code=143, why="cancelled by a person"),
        Outcome(run=a_run(), end=End.TIMED_OUT, at=2000.0, exit_code=143),
        Outcome(run=a_run(cancel="cancelled by a person"), end=End.EXITED, at=2000.0, exit_code=143),
    ],
    ids=["success", "failure", "fault", "stopped", "timed out", "cancelled"],
)
def test_another_end_during_a_shutdown_is_what_it_is(outcome: Outcome) -> None:
    assert lost_in_shutdown(outcome, "the machine was restarted") is outcome
