"""The decisions who is told of what, and when several messages become one."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.model.notification import Event, Kind, Notify, Target
from aqueue.model.run import State
from aqueue.policy.messages import best_of, state_of_group
from aqueue.policy.notifications import (
    HOUR,
    MAX_BUNDLE,
    MAX_PER_HOUR,
    MAX_TRIES,
    Pending,
    event_of_run,
    next_step,
    seconds_before_try,
    tells_of_group,
    wanted,
)

NOW = 1_000_000.0
ENDS = {Event.FAILED, Event.SUCCEEDED, Event.GROUP}


def target(on: tuple[Event, ...] | None = None, kind: Kind = Kind.NTFY) -> Target:
    return Target(name="phone", kind=kind, on=on)


def waiting(*ids: int, due_at: float = NOW, tries: int = 0, in_flight: bool = False) -> list[Pending]:
    return [Pending(id_, due_at, tries, in_flight) for id_ in ids]


@pytest.mark.parametrize(
    ("on", "notify", "events"),
    [
        (None, None, set()),
        ((Event.FAILED,), None, {Event.FAILED}),
        ((Event.FAILED,), Notify(), {Event.FAILED}),
        (None, Notify(), ENDS),
        ((Event.FAILED,), Notify(on=(Event.GROUP,)), {Event.GROUP}),
        ((Event.FAILED,), Notify(on=()), set()),
        (None, Notify(to=("phone",)), ENDS),
        ((Event.FAILED,), Notify(to=("mail",)), set()),
    ],
)
def test_what_a_task_says_goes_before_what_a_target_says(
    on: tuple[Event, ...] | None, notify: Notify | None, events: set[Event]
) -> None:
    assert set(wanted(target(on), notify)) == events


def test_a_health_check_that_is_told_anything_is_told_of_start_and_every_end() -> None:
    assert set(wanted(target((Event.FAILED,), Kind.HEALTHCHECK), None)) == {*ENDS, Event.STARTED}
    assert not wanted(target(None, Kind.HEALTHCHECK), None)


def test_a_success_after_a_failure_is_a_recovery_for_those_who_want_to_know() -> None:
    every = {*ENDS, Event.RECOVERED}
    assert event_of_run(State.SUCCEEDED, every, was_failing=True) is Event.RECOVERED
    assert event_of_run(State.SUCCEEDED, every, was_failing=False) is Event.SUCCEEDED
    assert event_of_run(State.SUCCEEDED, ENDS, was_failing=True) is Event.SUCCEEDED
    assert event_of_run(State.SUCCEEDED, {Event.RECOVERED}, was_failing=False) is None
    assert event_of_run(State.FAILED, every, was_failing=True) is Event.FAILED


@pytest.mark.parametrize("state", [State.ABORTED, State.QUEUED])
def test_nobody_is_told_of_what_has_neither_failed_nor_succeeded(state: State) -> None:
    assert event_of_run(state, {*Event}, was_failing=True) is None


def test_a_group_failed_if_one_of_it_failed_and_succeeded_only_if_all_did() -> None:
    assert state_of_group([State.SUCCEEDED, State.ABORTED, State.FAILED]) is State.FAILED
    assert state_of_group([State.SUCCEEDED, State.ABORTED]) is State.ABORTED
    assert state_of_group([State.SUCCEEDED]) is State.SUCCEEDED


def test_a_group_is_told_of_whenever_that_is_asked_and_else_as_a_run_would_be() -> None:
    assert tells_of_group(State.ABORTED, {Event.GROUP}, was_failing=False)
    assert tells_of_group(State.FAILED, {Event.FAILED}, was_failing=False)
    assert not tells_of_group(State.SUCCEEDED, {Event.FAILED}, was_failing=False)


def test_a_target_gets_one_message_at_a_time_in_order() -> None:
    assert next_step(waiting(1, 2), [], NOW, is_limited=True).send == [1]
    busy = [*waiting(1, due_at=NOW + 60, tries=1, in_flight=True), *waiting(2)]
    assert next_step(busy, [], NOW, is_limited=True) == ((), NOW + 60)


def test_a_message_that_is_tried_again_later_does_not_hold_up_the_next() -> None:
    step = next_step([*waiting(1, due_at=NOW + 30, tries=1), *waiting(2)], [], NOW, is_limited=True)
    assert step.send == [2]


def test_after_twenty_in_an_hour_the_rest_is_bundled() -> None:
    sent = [NOW - 100 - number for number in range(MAX_PER_HOUR)]
    held = next_step(waiting(1, 2, 3), sent, NOW, is_limited=True)
    assert not held.send
    assert held.next_at is not None
    later = held.next_at
    assert next_step(waiting(1, 2, 3), sent, later, is_limited=True).send == [1, 2, 3]
    assert next_step(waiting(1, 2), sent, NOW, is_limited=False).send == [1]
    assert next_step(waiting(1, 2), [at - HOUR for at in sent], NOW, is_limited=True).send == [1]


@given(
    st.lists(st.floats(0, 10_000), max_size=120),
    st.lists(st.floats(0, 10_000), max_size=40),
    st.floats(0, 10_000),
    st.booleans(),
)
def test_a_step_sends_what_is_due_or_says_when_to_look_again(
    due: Sequence[float], sent: Sequence[float], now: float, limited: bool
) -> None:
    pending = [Pending(number, at, 0, in_flight=False) for number, at in enumerate(due)]
    step = next_step(pending, sent, now, is_limited=limited)
    assert all(due[id_] <= now for id_ in step.send)
    assert len(step.send) <= (MAX_BUNDLE if limited else 1)
    assert bool(step.send) or not due or (step.next_at is not None and step.next_at > now)


def test_a_message_is_tried_five_times_ever_more_slowly() -> None:
    delays = [seconds_before_try(tries) for tries in range(1, MAX_TRIES + 1)]
    assert delays == [30.0, 120.0, 480.0, 1920.0, None]


def test_the_best_value_is_the_lowest_of_a_loss_and_the_highest_of_an_accuracy() -> None:
    assert best_of([{"val/loss": 0.5}, {"val/loss": 0.25}, {"val/loss": float("nan")}]) == "val/loss 0.25"
    assert best_of([{"loss": 0.5, "acc": 0.9}, {"acc": 0.96}]) == "acc 0.96"
    assert best_of([{"acc": True, "glossy": 3.0}]) is None
