"""Schedules in the store: when they are due, and what people and clocks do to them."""

from collections.abc import Iterator

import pytest

from aqueue.errors import ScheduleError
from aqueue.folder.layout import Folder
from aqueue.model.run import State, Trigger
from aqueue.model.server import Leaving, Server
from aqueue.model.task import Priority
from aqueue.store.database import connect
from tests.integration.planning import BEGIN, ENABLED, Plan, a_schedule, at, once


@pytest.fixture
def other(folder: Folder) -> Iterator[Plan]:
    """The same one, as another server has it."""
    connection = connect(folder)
    yield Plan(connection, folder)
    connection.close()


# What is due


def test_a_due_time_becomes_a_run(plan: Plan) -> None:
    plan.put(a_schedule(queue="disk", priority=Priority.HIGH))
    assert plan.made(9.999) == []
    (run,) = plan.made(10.01)
    assert (run.name, run.run_id, run.queue, run.priority) == (
        "nightly", "20270115T081000Z", "disk", Priority.HIGH,
    )  # fmt: skip
    assert (run.trigger, run.scheduled_for, run.created_at) == (Trigger.SCHEDULER, at(10), at(10.01))
    assert run.state is State.QUEUED
    assert plan.next_due() == 20
    assert plan.made(10.02) == []


def test_several_times_within_a_minute_are_all_live(plan: Plan) -> None:
    plan.put(*(a_schedule("* * * * *", name=name) for name in "ab"), once(9.5))
    assert sorted(plan.make_due(10)) == [9, 9, 9.5, 10, 10]


@pytest.mark.parametrize(("late", "live"), [(1.0, [10]), (1.0001, [])])
def test_what_is_over_a_minute_late_is_missed(plan: Plan, late: float, live: list[float]) -> None:
    plan.put(a_schedule())
    assert plan.make_due(10 + late) == live
    plan.catch_up()
    assert plan.due_times() == live
    assert plan.stored().missed == 1 - len(live)


def test_more_schedules_than_are_looked_after_at_once_all_have_their_runs(plan: Plan) -> None:
    plan.put(*(a_schedule(name=f"s{number}") for number in range(450)))
    while plan.made(10):
        pass
    assert plan.due_times() == [10] * 450


def test_two_servers_make_one_run_of_a_due_time(plan: Plan, other: Plan) -> None:
    plan.put(a_schedule())
    assert [plan.make_due(10), other.make_due(10), other.make_due(20), plan.make_due(20.5)] == [[10], [], [20], []]


def test_a_run_of_the_same_name_and_run_id_that_somebody_queued_is_not_doubled(plan: Plan) -> None:
    plan.put(a_schedule())
    with plan.open() as store:
        store.submissions.add(a_schedule().task, BEGIN, trigger=Trigger.MANUAL, run_id="20270115T081000Z")
    assert plan.make_due(10) == []
    assert plan.make_due(20) == [20]


def test_the_last_run_is_that_of_the_latest_due_time(plan: Plan) -> None:
    plan.put(a_schedule(window=60))
    with plan.open() as store:
        assert store.schedules.last_run("nightly") is None
    plan.pass_to(30)
    with plan.open() as store:
        store.submissions.add(a_schedule().task, at(31), trigger=Trigger.MANUAL)
        assert (run := store.schedules.last_run("nightly")) is not None
    assert run.scheduled_for == at(30)
    assert plan.runs()[-2].scheduled_for == at(20)


# Pauses


def test_what_is_due_while_a_schedule_is_paused_is_neither_made_nor_made_up_for(plan: Plan) -> None:
    plan.put(a_schedule(window=600), a_schedule(name="other"))
    plan.made(10)
    plan.pause()
    assert (plan.stored().paused, plan.next_due()) == (True, None)
    assert plan.make_due(20) == [20]
    assert plan.resume(35)
    assert not plan.resume(36)
    assert plan.pass_to(36) == []
    assert (plan.next_due(), plan.stored().missed) == (40, 0)
    plan.made(40)
    assert plan.due_times("nightly") == [10, 40]


def test_what_is_due_between_a_resume_and_the_next_server_is_made_up_for(plan: Plan) -> None:
    plan.put(a_schedule(window=600))
    plan.pause()
    plan.resume(35)
    assert plan.pass_to(65) == [40, 50, 60]


def test_a_pause_outlives_an_edit_but_not_an_end(plan: Plan) -> None:
    plan.put(a_schedule())
    plan.pause()
    (change,) = plan.put(a_schedule("*/5 * * * *"), when=5)
    assert (change.next_due, change.is_paused) == (None, True)
    plan.follow_clock(-100)
    assert plan.make_due(60) == []
    plan.put(when=66)
    (change,) = plan.put(a_schedule(), when=67)
    assert (change.is_paused, plan.next_due()) == (False, 70)


def test_a_schedule_that_there_is_not_cannot_be_paused_or_resumed(plan: Plan) -> None:
    plan.put(a_schedule(name="ended"))
    plan.put()
    for name in ("ended", "nightly"):
        with pytest.raises(ScheduleError, match=f"there is no schedule {name}"):
            plan.pause(name)
        with pytest.raises(ScheduleError, match=f"there is no schedule {name}"):
            plan.resume(1, name)


# Clocks


@pytest.mark.parametrize("seconds", [1.0, 59.0, 61.0, 7200.0])
def test_a_clock_that_was_put_back_makes_no_second_run_and_times_go_on(plan: Plan, seconds: float) -> None:
    plan.put(a_schedule("* * * * *"))
    for minute in range(1, 11):
        plan.made(minute)
    back = 10.5 - seconds / 60
    plan.follow_clock(back)
    for tenth in range(121):
        plan.made(max(back, 9) + tenth / 10)
    assert [time for time in plan.due_times() if time > 0][:10] == list(range(1, 11))
    assert sorted(plan.due_times()) == sorted(set(plan.due_times()))
    assert set(range(1, 20)) <= set(plan.due_times())


def test_what_the_clock_passed_over_and_shows_again_is_made_when_it_is_due(plan: Plan) -> None:
    plan.put(a_schedule())
    plan.pass_to(500)
    assert plan.stored().missed == 49
    plan.follow_clock(5)
    assert [plan.make_due(10), plan.make_due(20)] == [[10], [20]]


def test_a_clock_that_is_put_back_and_then_set_right_brings_back_nothing_that_was_over(plan: Plan) -> None:
    plan.put(a_schedule(window=600), when=125)
    plan.follow_clock(5)
    assert plan.pass_to(131) == []
    assert (plan.due_times(), plan.stored().missed) == ([130], 0)


def test_a_clock_that_is_put_back_by_seconds_brings_back_no_time_from_before_a_schedule_was_resumed(
    plan: Plan,
) -> None:
    plan.put(a_schedule(), when=5)
    plan.pause(when=6)
    plan.resume(10.1)
    plan.pause(when=10.1)
    plan.resume(9.9)
    assert [plan.make_due(when) for when in (9.9, 10, 20)] == [[], [], [20]]


def test_pausing_what_was_just_resumed_misses_nothing_of_the_pause_before(plan: Plan) -> None:
    plan.put(a_schedule(window=100))
    assert plan.made(14) == []
    plan.pause(when=16)
    for _ in range(2):
        plan.resume(26)
        plan.pause(when=26)
    plan.resume(26)
    plan.catch_up()
    assert plan.due_times() == [10]


def test_pausing_what_was_just_resumed_keeps_what_was_missed_before_the_clock_was_put_back(plan: Plan) -> None:
    plan.put(a_schedule(window=20), when=5)
    assert plan.made(14) == []
    plan.pause(when=6)
    plan.resume(6)
    plan.pause(when=6)
    plan.resume(6)
    plan.catch_up()
    assert plan.due_times() == [10]


# What a server has to know


def test_the_outlook_tells_of_schedules(plan: Plan) -> None:
    def outlook() -> tuple[float | None, bool, bool]:
        with plan.open() as store:
            found = store.queues.outlook(ENABLED, BEGIN)
        return found.next_due, found.has_missed, found.has_schedules

    assert outlook() == (None, False, False)
    plan.put(a_schedule(window=60), once(5))
    assert outlook() == (at(5), False, True)
    plan.made(15)
    assert outlook() == (at(20), True, True)
    plan.catch_up()
    assert outlook() == (at(20), False, True)
    plan.pause()
    assert outlook() == (None, False, True)
    plan.put(once(5))
    assert outlook() == (None, False, False)


@pytest.mark.parametrize("despite", [True, False])
def test_a_server_does_not_leave_as_idle_while_there_are_schedules_or_missed_times(
    plan: Plan, despite: bool
) -> None:
    server = Server(id="server", pid=1, boot="boot", jobs=1, started_at=BEGIN, heartbeat_at=BEGIN)

    def leaves() -> bool:
        with plan.open() as store:
            store.servers.leave("server")
            store.servers.enter(server)
            left = store.prospects.leave_if_idle(server, ENABLED, BEGIN, despite_schedules=despite)
            assert ((found := store.servers.get("server")) and found.leaving) == (
                Leaving.WHEN_DONE if left else None
            )
            return left

    assert leaves()
    plan.put(a_schedule())
    assert leaves() is despite
    plan.made(15)
    assert not leaves()
    plan.catch_up()
    plan.pause()
    assert leaves() is despite
    plan.put()
    assert leaves()


def test_schedules_that_ended_long_ago_are_forgotten(plan: Plan) -> None:
    plan.put(a_schedule(name="a"), a_schedule(name="b"), a_schedule(name="c"))
    plan.put(a_schedule(name="c"), a_schedule(name="b"), when=10)
    plan.made(60)
    plan.put(a_schedule(name="c"), when=61)
    with plan.open() as store:
        store.schedules.forget(at(30))
        assert [store.schedules.get(name) is not None for name in "abc"] == [False, True, True]
        store.schedules.forget(at(300))
        assert [store.schedules.get(name) is not None for name in "abc"] == [False, False, True]
