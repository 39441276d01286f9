"""A living server on time, and when the wall clock jumps: a suspend, a clock set right."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.scheduling import MAX_MINUTES, STILL, ClockedPlace, at, caught_up, every, live, most_minutes

pytestmark = pytest.mark.at_length


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def test_a_run_starts_when_it_is_due(place: ClockedPlace) -> None:
    place.schedule("job", "1 12 * * *")
    place.serve_at("12:00:30")
    place.approach("12:01")
    row = place.becomes("job", "succeeded")
    assert row["scheduled_for"] == "2030-05-01T12:01:00.000Z"
    assert row["run_id"] == "20300501T120100Z"
    assert (row["trigger"], row["queue"]) == ("scheduler", "job")
    assert 0.0 <= place.lateness("job") < 0.5


def test_a_single_time_is_due_once(place: ClockedPlace) -> None:
    place.task("job", "echo $AQUEUE_RUN_ID >>ledger", 'at: "2030-05-01T14:01:00+02:00"')
    place.serve_at("12:00:30")
    place.approach("12:01")
    place.becomes("job", "succeeded")
    place.clock.set(at("12:03"))
    place.settle()
    place.clock.set(at("12:00:59.5"))
    place.task("job", "echo $AQUEUE_RUN_ID >>ledger", 'at: "2030-05-01T08:01:00-04:00"', "catchup_window: 1h")
    place.clock.set(at("12:04"))
    place.settle()
    assert place.lines("ledger") == ["20300501T120100Z"]


@pytest.mark.parametrize("window", [None, "12h"])
def test_after_a_suspend_only_what_is_late_by_less_than_a_minute_is_live(
    place: ClockedPlace, window: str | None
) -> None:
    place.schedule("job", "*/10 * * * *", STILL, *([f"catchup_window: {window}"] if window else []))
    place.serve_at("12:05")
    place.clock.set(at("13:10:30"))
    late = every(10, at("12:10"), at("13:00"))
    place.make(*(caught_up("job", *late) if window else []), *live("job", "13:10"))
    assert place.schedules()["job"]["missed"] == (0 if window else len(late))
    place.approach("13:20")
    place.make(*(caught_up("job", *late) if window else []), *live("job", "13:10", "13:20"))


def test_a_clock_that_goes_back_makes_no_second_run_and_the_schedule_goes_on(place: ClockedPlace) -> None:
    place.schedule("job", "* * * * *", STILL, "catchup_window: 1h")
    place.serve_at("12:00:30")
    made = live("job", "12:01", "12:02")
    for count in (1, 2):
        place.reach(made[count - 1].due)
        assert place.made() == made[:count]
    place.clock.set(at("12:00:40"))
    place.settle()
    for time in ("12:01", "12:02", "12:02"):
        place.reach(time)
        assert place.made() == made
    place.approach("12:03")
    place.make(*made, *live("job", "12:03"))


def test_a_clock_that_was_a_day_ahead_for_a_while_stops_no_schedule_for_that_day(place: ClockedPlace) -> None:
    place.schedule("job", "* * * * *", STILL)
    place.serve_at("12:00:30")
    place.clock.set(at("12:00:30", 1))
    place.make(*live("job", "12:00 +1"))
    place.approach("12:02")
    place.make(*live("job", "12:00 +1", "12:02"))


@pytest.mark.parametrize("ahead", [at("12:05", 1), datetime(2040, 5, 1, 12, 5, tzinfo=UTC)])
def test_what_an_outage_misses_is_made_up_for_although_the_clock_was_ahead_before(
    place: ClockedPlace, ahead: datetime
) -> None:
    place.schedule("job", "*/10 * * * *", STILL, "catchup_window: 30m")
    server = place.serve_at("12:01")
    place.clock.set(ahead)
    place.settle()
    before = place.made()
    place.clock.set(at("12:02"))
    place.settle()
    server.kill()
    place.serve_at("12:35")
    place.make(*before, *caught_up("job", *every(10, at("12:10"), at("12:30"))))


def test_what_an_outage_misses_is_made_up_for_although_it_began_while_the_clock_was_ahead(
    place: ClockedPlace,
) -> None:
    place.schedule("job", "*/10 * * * *", STILL, "catchup_window: 30m")
    server = place.serve_at("12:01")
    place.clock.set(at("12:05", 1))
    place.settle()
    before = place.made()
    server.kill()
    place.serve_at("12:02").kill()
    place.serve_at("12:35")
    place.make(*before, *caught_up("job", *every(10, at("12:10"), at("12:30"))))


def test_two_servers_make_each_run_once(place: ClockedPlace) -> None:
    place.schedule("live", "* * * * *", STILL)
    place.schedule("late", "*/10 * * * *", "catchup_window: 12h", STILL)
    servers = [place.serve_at("12:05:58"), place.serve_at("12:05:59")]
    place.make(*live("live", "12:06"))
    late = []
    for hour in range(12, 16):
        place.clock.set(at(f"{hour + 1}:05:30"))
        late += every(10, at(f"{hour}:10"), at(f"{hour + 1}:00"))
        minutes = ["12:06", *(f"{after}:05" for after in range(13, hour + 2))]
        place.make(*live("live", *minutes), *caught_up("late", *late))
    assert all(server.process.poll() is None for server in servers)
    assert not any("error" in server.text or "Traceback" in server.text for server in servers)


def test_two_servers_that_start_at_once_catch_up_once(place: ClockedPlace) -> None:
    names = [f"s{number}" for number in range(3)]
    for name in names:
        place.schedule(name, MAX_MINUTES, "catchup_window: 1d", STILL)
    place.serve_at("12:55").kill()
    place.clock.set(at("22:55"))
    servers = [place.serve(wait=False) for _ in range(3)]
    dues = most_minutes(at("13:00"), at("22:49"))
    for server in servers:
        server.says("serving")
    place.make(*(made for name in names for made in caught_up(name, *dues)))


def test_what_is_due_now_is_on_time_while_thousands_are_caught_up(place: ClockedPlace) -> None:
    names = [f"late-{number}" for number in range(10)]
    for name in names:
        place.schedule(name, MAX_MINUTES, "catchup_window: 2d", STILL)
    place.schedule("now", "* * * * *")
    place.serve_at("00:50:30").kill()
    place.clock.set(at("20:57:30"))
    place.serve(wait=False)
    place.wait_for(1)
    place.clock.set(at("20:57:59.9"))
    late = [made for name in names for made in caught_up(name, *most_minutes(at("01:00"), at("20:49")))]
    place.make(*live("now", "20:57", "20:58"), *late)
    assert 0.0 <= place.lateness("now") < 1.0
    assert place.made()[-1].name != "now", "the catchup was over before"


def test_servers_that_wake_together_leave_each_others_runs_alone(place: ClockedPlace) -> None:
    place.drop("aqueue.yaml", "heartbeat: {interval: 1s, stale_after: 10s}\n")
    servers = [place.serve_at("12:00")]
    for name in ("one", "two"):
        place.task(name, place.until("over"), "timeout: 30m")
        servers.append(place.serve())
        place.becomes(name, "running")
    place.clock.advance(3600.0)
    # One of them gives a sign of life before the others do, and then hears of something new.
    for number in range(20):
        place.run("add", "--hold", "--name", f"held-{number}", "--", "true")
    place.path("over").touch()
    for name in ("one", "two"):
        place.becomes(name, "succeeded")
    assert not any("adopted" in server.text for server in servers)
