"""Due times while earlier runs of their schedule go on."""

import pytest

from aqueue.client.selection import newest_of_each
from aqueue.errors import RunError
from aqueue.model.run import State, Trigger
from aqueue.model.schedule import Overlap
from tests.integration.planning import Plan, a_schedule, at

ALL = 100_000.0


def test_by_default_each_due_time_waits_for_its_turn(plan: Plan) -> None:
    plan.put(a_schedule())
    for minute in (10, 20, 30):
        plan.made(minute)
    assert [run.state for run in plan.runs()] == [State.QUEUED] * 3


@pytest.mark.parametrize("claimed", [True, False])
def test_a_due_time_is_skipped_while_the_previous_run_waits_or_runs(plan: Plan, claimed: bool) -> None:
    plan.put(a_schedule(overlap=Overlap.SKIP))
    plan.made(10)
    if claimed:
        plan.claim(11)
    (skipped,) = plan.made(20)
    assert (skipped.state, skipped.finished_at) == (State.ABORTED, skipped.created_at)
    assert skipped.reason == f"skipped: run 1 is {'running' if claimed else 'queued'}"
    if not claimed:
        plan.claim(21)
    (first,) = plan.runs_in(State.RUNNING)
    plan.end(first, 22)
    (third,) = plan.made(30)
    assert third.state is State.QUEUED


def test_a_skipped_due_time_is_not_the_newest_run_of_its_name(plan: Plan) -> None:
    plan.put(a_schedule(overlap=Overlap.SKIP))
    (first,) = plan.made(10)
    plan.claim(11)
    (skipped,) = plan.made(20)
    assert skipped.name == first.name
    with plan.open() as store:
        assert store.runs.newest(first.name) == first.id
        assert store.runs.resolve(first.name).id == first.id
    plan.end(plan.runs_in(State.RUNNING)[0], 21)
    (second,) = plan.made(30)
    plan.made(40)
    with plan.open() as store, pytest.raises(RunError) as caught:
        store.runs.resolve(first.name)
    assert caught.value.hint == f"use its id; the newest is {second.id}"


def test_where_all_due_times_were_skipped_the_name_is_theirs(plan: Plan) -> None:
    plan.put(a_schedule(name="a", submission={"needs": ("b",)}), a_schedule(name="b"))
    plan.pause("b", 1)
    (only,) = plan.made(10)
    with plan.open() as store:
        assert store.runs.newest("a") == store.runs.resolve("a").id == only.id


def test_what_comes_after_a_name_does_not_come_after_a_due_time_that_was_skipped_with_what_it_needs(
    plan: Plan,
) -> None:
    plan.put(
        a_schedule(name="a", overlap=Overlap.SKIP),
        a_schedule(name="b", submission={"needs": ("a",)}),
        a_schedule(name="c", submission={"after": ("b",)}),
    )
    plan.made(10)
    plan.claim(11)
    *_, skipped, last = plan.made(20)
    assert (skipped.name, skipped.was_skipped) == ("b", True)
    assert skipped.reason == "skipped: run 4 a, which it comes after, was aborted"
    assert (last.name, last.state) == ("c", State.QUEUED)


def test_a_due_time_that_was_canceled_was_not_skipped(plan: Plan) -> None:
    plan.put(a_schedule())
    (run,) = plan.made(10)
    with plan.open() as store:
        store.lifecycle.cancel(run, "canceled", at(11))
    (later,) = plan.made(20)
    with plan.open() as store:
        store.lifecycle.cancel(later, "canceled", at(21))
        assert store.runs.newest(run.name) == later.id


def test_a_group_has_the_newest_run_of_each_name_that_was_not_skipped(plan: Plan) -> None:
    plan.put(a_schedule(overlap=Overlap.SKIP, group="all"))
    (first,) = plan.made(10)
    plan.claim(11)
    plan.made(20)
    with plan.open() as store:
        assert store.runs.newest_of_group("all") == [first.id]
        assert [run.id for run in newest_of_each(store.runs.select(group="all"))] == [first.id]
        assert store.forecasts.states_of("all") == {State.RUNNING: 1}


def test_of_those_that_wait_only_the_newest_stays_and_what_runs_goes_on(plan: Plan) -> None:
    plan.put(a_schedule(overlap=Overlap.LATEST))
    plan.made(10)
    plan.claim(10)
    for minute in (20, 30, 40):
        plan.made(minute)
    assert [run.state for run in plan.runs()] == [State.RUNNING, State.ABORTED, State.ABORTED, State.QUEUED]
    assert plan.reasons() == {20: "superseded by run 3", 30: "superseded by run 4"}


def test_several_times_made_at_once_overlap_too(plan: Plan) -> None:
    plan.put(
        a_schedule("* * * * *", name="skip", overlap=Overlap.SKIP),
        a_schedule("* * * * *", name="latest", overlap=Overlap.LATEST),
    )
    plan.made(1)
    plan.claim(1)
    plan.made(3)
    assert list(plan.reasons("skip")) == [2, 3]
    assert list(plan.reasons("latest")) == [2]


@pytest.mark.parametrize(
    ("overlap", "caught_up", "live"),
    [(Overlap.ALL, [10, 20], [30, 40]), (Overlap.SKIP, [10], [30]), (Overlap.LATEST, [20], [40])],
)
def test_catchup_and_what_is_due_are_judged_apart(
    plan: Plan, overlap: Overlap, caught_up: list[float], live: list[float]
) -> None:
    plan.put(a_schedule(window=ALL, overlap=overlap))
    plan.pass_to(30.5)
    plan.made(40)
    waiting = plan.runs_in(State.QUEUED)
    assert plan.minutes(run for run in waiting if run.trigger is Trigger.CATCHUP) == caught_up
    assert plan.minutes(run for run in waiting if run.trigger is Trigger.SCHEDULER) == live


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.LATEST])
def test_a_schedules_last_run_is_none_that_was_over_before_it_began(plan: Plan, overlap: Overlap) -> None:
    plan.put(a_schedule(overlap=overlap))
    plan.made(10)
    plan.claim(10)
    plan.made(20)
    (newest,) = plan.made(30)
    with plan.open() as store:
        if newest.state is State.QUEUED:
            store.lifecycle.cancel(newest, "cancelled", at(31))
        last = store.schedules.last_run("nightly")
    assert last is not None
    assert (last.scheduled_for, last.state) == (at(10), State.RUNNING)


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.LATEST])
def test_a_run_that_somebody_queued_by_hand_is_no_previous_run(plan: Plan, overlap: Overlap) -> None:
    plan.put(a_schedule(overlap=overlap))
    with plan.open() as store:
        store.submissions.add(a_schedule().task, 0.0, trigger=Trigger.MANUAL)
    plan.made(10)
    assert [run.state for run in plan.runs()] == [State.QUEUED] * 2
