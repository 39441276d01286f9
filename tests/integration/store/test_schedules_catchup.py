"""Missed times of schedules: some are made up for, each exactly once, and in order."""

import random
from collections.abc import Iterator

import pytest

from aqueue.folder.layout import Folder
from aqueue.model.run import State, Trigger
from aqueue.model.task import Priority
from aqueue.store.database import connect
from tests.integration.planning import DISABLED, ENABLED, Plan, a_schedule, at, once

ALL = 100_000.0


@pytest.fixture
def other(folder: Folder) -> Iterator[Plan]:
    """The same one, as another server has it."""
    connection = connect(folder)
    yield Plan(connection, folder)
    connection.close()


@pytest.mark.parametrize(
    ("window", "now", "caught_up"),
    [
        (0, 45, []),
        (ALL, 45, [10, 20, 30, 40]),
        (35.001, 45, [10, 20, 30, 40]),
        (35, 45, [20, 30, 40]),
        (25.001, 45, [20, 30, 40]),
        (24.999, 45, [30, 40]),
        (1.5, 41.2, [40]),
        (1, 45, []),
        (ALL, 40, [10, 20, 30]),
        (ALL, 41, [10, 20, 30]),
        (ALL, 41.01, [10, 20, 30, 40]),
        (ALL, 10.9, []),
    ],
)
def test_the_missed_times_in_the_window_are_made_up_for_oldest_first(
    plan: Plan, window: float, now: float, caught_up: list[float]
) -> None:
    plan.put(a_schedule(window=window))
    assert plan.pass_to(now) == caught_up
    live = [time for time in plan.due_times() if time not in caught_up]
    assert live == [time for time in (10, 20, 30, 40) if 0 <= now - time <= 1]
    assert plan.stored().missed == int(now // 10) - len(caught_up) - len(live)


def test_what_was_handled_before_is_not_made_up_for(plan: Plan) -> None:
    plan.put(a_schedule(window=ALL))
    plan.made(10)
    plan.made(20)
    assert plan.pass_to(45) == [30, 40]
    assert plan.pass_to(46) == []
    assert plan.pass_to(75) == [50, 60, 70]


@pytest.mark.parametrize("ahead", [1440.0, 5_000_000.0])
@pytest.mark.parametrize("heard_until", [7, None])
def test_what_an_outage_misses_is_made_up_for_although_the_clock_was_ahead_before(
    plan: Plan, ahead: float, heard_until: float | None
) -> None:
    plan.put(a_schedule(window=60))
    plan.pass_to(5)
    plan.pass_to(ahead + 5)
    plan.follow_clock(6)
    plan.was_served_until(ahead + 5 if heard_until is None else heard_until)
    plan.follow_clock(8)
    assert plan.pass_to(45) == [10, 20, 30, 40]


def test_a_single_time_that_was_missed_is_made_up_for(plan: Plan) -> None:
    plan.put(once(10, window=60), once(11, "late", window=5), once(12, "never"))
    assert plan.pass_to(20) == [10]
    assert [plan.stored(name).missed for name in ("once", "late", "never")] == [0, 1, 1]
    with plan.open() as store:
        assert not store.queues.outlook(ENABLED, 0.0).has_schedules


def test_a_run_that_makes_up_for_a_missed_time_says_so_and_is_behind_all_that_are_low(plan: Plan) -> None:
    plan.put(
        a_schedule(window=60, queue="q", priority=Priority.HIGH), a_schedule("25 * * * *", name="live", queue="q")
    )
    plan.made(25)
    plan.catch_up()
    plan.claim(25)
    first, second = plan.runs(trigger=Trigger.CATCHUP)
    assert (first.run_id, first.priority.word, first.task.priority) == (
        "20270115T081000Z",
        "low",
        Priority.CATCHUP,
    )
    assert (second.run_id, second.queue) == ("20270115T082000Z", "q")
    assert [run.state for run in plan.runs()] == [State.RUNNING, State.QUEUED, State.QUEUED]
    with plan.open() as store:
        store.submissions.add(a_schedule(queue="q").task, 0.0, trigger=Trigger.FILE)
    order = []
    for minute in range(26, 29):
        (running,) = plan.runs_in(State.RUNNING)
        order.append(running.id)
        plan.end(running, minute)
        plan.claim(minute)
    assert order == [1, 4, first.id]


def test_only_the_newest_thousand_are_made_up_for_and_the_others_are_counted(plan: Plan) -> None:
    plan.put(a_schedule("* * * * *", window=1500))
    plan.made(2000)
    decided = plan.catch_up()
    assert [(one.caught_up, one.left_out, one.is_done) for one in decided] == [
        (400, 498, False), (400, 0, False), (200, 0, True),
    ]  # fmt: skip
    assert plan.due_times(trigger=Trigger.CATCHUP) == list(range(999, 1999))
    assert plan.due_times(trigger=Trigger.SCHEDULER) == [1999, 2000]
    assert plan.stored().missed == 998
    assert plan.catch_up() == []


def test_a_schedule_is_decided_about_at_a_time_the_one_that_waits_longest_first(plan: Plan) -> None:
    plan.put(a_schedule(name="b", window=60))
    plan.put(a_schedule(name="a", window=60), a_schedule(name="c", window=60), when=20, file="second.yaml")
    with plan.open() as store:
        store.schedules.pause("a", at(20))
        store.schedules.pause("c", at(20))
    plan.made(25)
    plan.resume(25, "a")
    plan.resume(25, "c")
    plan.made(35)
    assert [one.schedule.name for one in plan.catch_up()] == ["a", "b", "c"]


def test_what_is_due_while_missed_times_are_being_decided_about_is_made(plan: Plan) -> None:
    plan.put(a_schedule("* * * * *", window=ALL))
    plan.made(900.5)
    assert (one := plan.catch_up_once()) is not None
    assert not one.is_done
    assert plan.make_due(901) == [901]
    plan.catch_up()
    plan.made(2000)
    plan.catch_up()
    assert sorted(plan.due_times()) == [*range(1, 902), *range(999, 2001)]
    assert plan.stored().missed == 97


def test_it_goes_on_where_a_server_died(plan: Plan, other: Plan) -> None:
    plan.put(a_schedule("* * * * *", window=ALL))
    plan.made(900.5)
    plan.catch_up_once()
    assert len(other.catch_up()) == 2
    assert plan.catch_up() == []
    assert other.due_times() == [900, *range(1, 900)]


def test_nothing_is_left_half_done_if_a_transaction_is_not_ended(plan: Plan, other: Plan) -> None:
    plan.put(a_schedule("* * * * *", window=ALL))
    before = plan.stored()
    with pytest.raises(ZeroDivisionError), plan.open() as store:
        store.due_times.make(ENABLED, 1_800_000_000.0 + 54_030.0)
        store.due_times.catch_up(ENABLED)
        raise ZeroDivisionError
    assert (plan.stored(), plan.runs()) == (before, [])
    other.pass_to(900.5)
    assert other.due_times() == [900, *range(1, 900)]


@pytest.mark.parametrize("seed", range(5))
def test_each_time_has_one_run_whoever_looks_and_however_often(plan: Plan, other: Plan, seed: int) -> None:
    chance = random.Random(seed)
    plan.put(*(a_schedule("*/7 * * * *", name=name, window=ALL) for name in "abc"))
    now = 0.0
    for _ in range(40):
        now += chance.choice([0.0, 0.5, 3.0, 12.0, 100.0])
        who = chance.choice([plan, other])
        match chance.randrange(3):
            case 0:
                who.made(now)
            case 1:
                who.catch_up_once()
            case _:
                who.follow_clock(now)
    plan.made(now)
    plan.catch_up()
    expected = [float(minute) for minute in range(1, int(now) + 1) if minute % 60 % 7 == 0]
    for name in "abc":
        assert sorted(plan.due_times(name)) == expected


def test_what_was_missed_is_made_up_for_by_what_was_in_force_when_it_was_due(plan: Plan) -> None:
    plan.put(a_schedule(window=ALL))
    plan.made(35)
    plan.put(a_schedule("*/15 * * * *", window=ALL), when=35.5)
    plan.catch_up()
    assert set(plan.due_times()) <= {10, 20, 30}


@pytest.mark.parametrize("was_noticed", [True, False])
def test_what_was_missed_before_a_pause_is_made_up_for_after_it(plan: Plan, was_noticed: bool) -> None:
    plan.put(a_schedule(window=ALL))
    if was_noticed:
        plan.made(35)
    plan.pause(when=35)
    assert plan.catch_up() == []
    plan.resume(56)
    assert plan.pass_to(57) == [10, 20, 30]


def test_where_queues_are_disabled_nothing_is_made_up_for_and_all_of_it_is_counted(plan: Plan) -> None:
    plan.put(a_schedule(window=ALL), a_schedule(name="without"))
    assert plan.pass_to(40.5, DISABLED) == []
    assert plan.due_times() == [40, 40]
    assert [plan.stored(name).missed for name in ("nightly", "without")] == [3, 3]
    assert plan.pass_to(41) == []
