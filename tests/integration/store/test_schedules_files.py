"""Schedules in the store: how they follow what their files say."""

import zoneinfo
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from aqueue.errors import ScheduleError
from aqueue.model.run import State
from aqueue.policy import cron
from tests.integration.planning import FILE, Plan, a_schedule, at, once


def test_a_schedule_seen_for_the_first_time_is_due_from_then_on(plan: Plan) -> None:
    schedule = a_schedule(window=60)
    (change,) = plan.put(schedule, when=25, is_edit=False)
    assert (change.name, change.schedule, change.next_due) == ("nightly", schedule, at(30))
    stored = plan.stored()
    assert (stored.schedule, stored.file, stored.handled_until) == (schedule, FILE, at(25))
    assert plan.pass_to(29) == []
    assert plan.runs() == []


def test_a_single_time_that_has_passed_is_never_due(plan: Plan) -> None:
    plan.put(once(-1, window=60), once(5, name="later"))
    assert (plan.next_due("once"), plan.next_due("later")) == (None, 5)
    plan.made(100)
    assert plan.next_due("later") is None


def test_a_file_that_says_the_same_again_changes_nothing(plan: Plan) -> None:
    plan.put(a_schedule(), a_schedule(name="other"))
    before = plan.stored()
    assert plan.put(a_schedule(), a_schedule(name="other"), when=25) == []
    assert plan.stored() == before
    assert plan.make_due(25) == []
    assert plan.make_due(30) == [30, 30]


def test_an_edit_counts_from_now_on(plan: Plan) -> None:
    plan.put(a_schedule())
    (change,) = plan.put(a_schedule("*/3 * * * *", window=60), when=7)
    assert change.next_due == at(9)
    assert plan.stored().handled_until == at(7)


def test_what_was_edited_while_no_server_was_up_counts_from_what_was_handled(plan: Plan) -> None:
    plan.put(a_schedule())
    plan.put(a_schedule("*/5 * * * *", window=60), when=17, is_edit=False)
    assert plan.next_due() == 5
    assert plan.pass_to(17) == [5, 10, 15]


def test_what_was_edited_while_no_server_was_up_does_not_count_from_when_one_was(plan: Plan) -> None:
    plan.put(a_schedule("0 * * * *", window=600))
    plan.was_served_until(45)
    plan.put(a_schedule("*/10 * * * *", window=600), when=55, is_edit=False)
    assert plan.pass_to(55) == [50]


def test_what_a_file_no_longer_says_ends_and_its_runs_are_left_alone(plan: Plan) -> None:
    plan.put(a_schedule(), a_schedule(name="other"))
    plan.made(10)
    (change,) = plan.put(a_schedule(name="other"), when=11)
    assert (change.name, change.schedule) == ("nightly", None)
    assert [run.state for run in plan.runs("nightly")] == [State.QUEUED]
    plan.put(when=12)
    with plan.open() as store:
        assert store.schedules.all() == []
    assert plan.make_due(20) == []
    assert plan.due_times() == [10, 10]


@pytest.mark.parametrize("is_edit", [True, False])
def test_a_schedule_that_ended_and_comes_back_has_missed_nothing(plan: Plan, is_edit: bool) -> None:
    plan.put(a_schedule(window=600))
    plan.made(10)
    plan.put(when=15)
    plan.put(a_schedule(window=600), when=45, is_edit=is_edit)
    assert plan.next_due() == 50
    assert plan.pass_to(51) == []
    assert plan.due_times() == [10, 50]


def test_a_schedule_that_ended_and_comes_back_while_the_clock_was_put_back_has_no_second_run(plan: Plan) -> None:
    plan.put(a_schedule())
    plan.made(10)
    plan.put(when=11)
    plan.put(a_schedule(), when=5)
    plan.follow_clock(6)
    assert plan.make_due(10) == []
    assert plan.make_due(20) == [20]


def test_a_schedule_that_missed_something_and_ends_is_not_made_up_for(plan: Plan) -> None:
    plan.put(a_schedule(window=600))
    plan.made(45)
    plan.put(when=46)
    assert plan.catch_up() == []
    plan.put(a_schedule(window=600), when=47)
    assert plan.catch_up() == []
    assert plan.runs() == []


def test_a_file_that_was_renamed_goes_on_where_it_was(plan: Plan) -> None:
    plan.put(a_schedule(window=600))
    plan.gone.add(FILE)
    plan.put(a_schedule(window=600), when=35, file="moved.yaml", is_edit=False)
    assert plan.put(when=36) == []
    assert plan.stored().file == "moved.yaml"
    assert plan.pass_to(36) == [10, 20, 30]


def test_a_name_that_another_file_has_is_refused_and_nothing_is_changed(plan: Plan) -> None:
    plan.put(a_schedule(), a_schedule(name="gone"))
    plan.put(a_schedule(name="second"), file="second.yaml")
    with pytest.raises(ScheduleError) as caught:
        plan.put(a_schedule(name="new"), a_schedule("@daily"), when=5, file="second.yaml")
    assert caught.value.message == f"there already is a schedule nightly, in {FILE}"
    with plan.open() as store:
        assert [(stored.name, stored.file) for stored in store.schedules.all()] == [
            ("gone", FILE),
            ("nightly", FILE),
            ("second", "second.yaml"),
        ]


def test_an_error_stays_with_the_schedules_of_its_file_until_that_is_good_again(plan: Plan) -> None:
    plan.put(a_schedule(), a_schedule(name="other"))
    plan.put(a_schedule(name="second"), file="second.yaml")
    with plan.open() as store:
        store.schedules.record_error(FILE, "it is bad")
        assert [stored.error for stored in store.schedules.all()] == ["it is bad", "it is bad", None]
    assert plan.make_due(10) == [10, 10, 10]
    assert plan.put(a_schedule(), a_schedule(name="other"), when=11) == []
    with plan.open() as store:
        assert [stored.error for stored in store.schedules.all()] == [None, None, None]


def test_a_schedule_that_could_not_be_understood_goes_on_once_its_file_is_saved_as_it_was(
    plan: Plan, tmp_path: Path
) -> None:
    def forget_timezones() -> None:
        cron.zone.cache_clear()
        zoneinfo.ZoneInfo.clear_cache()

    zone = tmp_path / "Our" / "Town"
    zone.parent.mkdir()
    zone.write_bytes(files("tzdata.zoneinfo").joinpath("UTC").read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([tmp_path])
    schedule = msgspec.structs.replace(a_schedule(), timezone="Our/Town")
    try:
        plan.put(schedule, a_schedule(name="other"))
        zone.rename(tmp_path / "kept")
        forget_timezones()
        assert [run.name for run in plan.made(10)] == ["other"]
        assert "save its file again" in (plan.stored().error or "")
        (tmp_path / "kept").rename(zone)
        plan.put(schedule, a_schedule(name="other"), when=15)
        assert (plan.stored().error, plan.next_due()) == (None, 20)
    finally:
        zoneinfo.reset_tzpath(before)
        forget_timezones()
