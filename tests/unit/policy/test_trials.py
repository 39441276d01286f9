"""The number of runs that may go on after one could not be started."""

import math

import pytest

from aqueue.policy.trials import TRIAL_SECONDS, Trials


def trials(proven: int, now: float = 0.0) -> Trials:
    one = Trials()
    one.fail(proven, now)
    return one


def test_without_a_failure_there_is_no_limit() -> None:
    one = Trials()
    one.end(3)
    one.start(3, 0.0)
    assert (one.is_active, one.max_runs(3, 0.0), one.seconds_left(0.0)) == (False, math.inf, math.inf)


def test_as_many_as_went_on_may_go_on() -> None:
    one = trials(3)
    assert one.max_runs(2, 0.5) == 3
    one.fail(2, 0.6)
    assert one.max_runs(2, 0.7) == 2


def test_one_more_is_tried_after_longer_and_longer_and_several_failures_at_once_count_as_one() -> None:
    one, now = Trials(), 0.0
    for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        for _ in range(3):
            one.fail(2, now)
        assert one.max_runs(2, now) == 2
        assert one.seconds_left(now) == pause
        now += pause
        assert one.seconds_left(now) == 0
        assert one.max_runs(2, now) == 3
        one.start(3, now)


def test_once_one_on_trial_has_settled_the_next_follows() -> None:
    one = trials(0)
    for running in range(1, 5):
        now = 1.0 + running * TRIAL_SECONDS
        assert one.max_runs(running - 1, now) == running
        one.start(running, now)
        assert one.max_runs(running, now + TRIAL_SECONDS / 2) == running
        assert 0 < one.seconds_left(now + TRIAL_SECONDS / 2) < TRIAL_SECONDS
    one.fail(4, now + TRIAL_SECONDS)
    assert one.seconds_left(now + TRIAL_SECONDS) == 1.0


def test_one_on_trial_that_ends_before_it_has_settled_was_started_all_the_same() -> None:
    one = trials(0)
    assert one.max_runs(0, 1.0) == 1
    one.start(1, 1.0)
    one.end(1)
    assert one.max_runs(0, 1.1) == 2


def test_the_end_of_another_says_nothing_of_the_one_on_trial() -> None:
    one = trials(1)
    assert one.max_runs(1, 1.0) == 2
    one.start(2, 1.0)
    one.end(2)
    one.fail(0, 1.1)
    assert one.max_runs(0, 1.2) == 0


@pytest.mark.parametrize("most", [2, 3])
def test_nothing_is_awaited_while_one_more_may_start_anyway(most: int) -> None:
    one = trials(2)
    assert one.max_runs(most, 1.0) == 3
    assert one.seconds_left(1.0) == math.inf


def test_with_room_for_all_there_is_no_limit_again() -> None:
    one = trials(2)
    one.stop()
    assert (one.is_active, one.max_runs(2, 0.0)) == (False, math.inf)
    one.fail(2, 5.0)
    assert one.seconds_left(5.0) == 1.0
