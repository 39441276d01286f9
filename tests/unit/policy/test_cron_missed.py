from datetime import datetime

import pytest

from aqueue.model.basics import is_name
from aqueue.policy.cron import MAX_CAUGHT_UP, MAX_COUNTED, Missed, instant, live, missed, run_id, zone
from tests.unit.walls import a_schedule

NOON = 1_782_820_800.0  # 2026-06-30T12:00:00Z
HOUR = 3600.0
DAY = 86400.0


@pytest.mark.parametrize(
    ("late", "is_live"), [(0.0, True), (59.9, True), (60.0, True), (60.001, False), (3600.0, False)]
)
def test_a_due_time_is_missed_once_it_is_over_a_minute_late(late: float, is_live: bool) -> None:
    daily = a_schedule("0 12 * * *", catchup_window=DAY)
    assert live(daily, NOON - 1, NOON + late) == ([NOON] if is_live else [])
    assert missed(daily, NOON - 1, NOON + late) == Missed([] if is_live else [NOON], 0, 0)


def test_what_was_handled_before_is_neither_made_nor_missed() -> None:
    hourly = a_schedule("0 * * * *", catchup_window=DAY)
    assert live(hourly, NOON, NOON + 5) == []
    assert missed(hourly, NOON, NOON + 100) == Missed([], 0, 0)


def test_where_the_clock_went_back_nothing_is_due() -> None:
    every = a_schedule("* * * * *", catchup_window=DAY)
    assert live(every, NOON, NOON - DAY) == []
    assert missed(every, NOON, NOON - DAY) == Missed([], 0, 0)


def test_without_a_window_what_was_missed_is_forgotten_and_counted() -> None:
    assert missed(a_schedule("0 * * * *"), NOON - DAY, NOON + 120) == Missed([], 0, 24)


def test_the_window_is_open_at_its_far_end() -> None:
    hourly = a_schedule("0 * * * *", catchup_window=2 * HOUR)
    now = NOON + 600
    assert missed(hourly, NOON - DAY, now) == Missed([NOON - HOUR, NOON], 0, 22)
    assert missed(hourly, NOON - DAY, NOON + HOUR).caught_up == [NOON]
    assert missed(hourly, NOON - DAY, NOON + HOUR - 0.5).caught_up == [NOON - HOUR, NOON]


def test_a_window_shorter_than_a_minute_catches_nothing_up() -> None:
    assert missed(a_schedule("* * * * *", catchup_window=30), NOON, NOON + 300) == Missed([], 0, 3)


def test_a_single_time_that_was_missed_is_caught_up_within_the_window() -> None:
    once = a_schedule(at=NOON, catchup_window=HOUR)
    assert live(once, 0, NOON + 30) == [NOON]
    assert missed(once, 0, NOON + HOUR - 1) == Missed([NOON], 0, 0)
    assert missed(once, 0, NOON + HOUR) == Missed([], 0, 1)


def test_no_more_than_the_newest_thousand_are_caught_up_oldest_first() -> None:
    every = a_schedule("* * * * *", catchup_window=2 * DAY)
    what = missed(every, NOON - 2 * DAY, NOON)
    assert what.caught_up == [NOON - 60 * minutes for minutes in range(MAX_CAUGHT_UP + 1, 1, -1)]
    # The last minute is live, and the one of two days ago was handled before.
    assert what.left_out == what.forgotten == 2 * 24 * 60 - 2 - MAX_CAUGHT_UP


def test_a_thousand_are_caught_up_without_leaving_one_out() -> None:
    every = a_schedule("* * * * *", catchup_window=DAY)
    what = missed(every, NOON - 60 * (MAX_CAUGHT_UP + 2), NOON)
    assert (len(what.caught_up), what.left_out, what.forgotten) == (MAX_CAUGHT_UP, 0, 0)


def test_those_of_many_years_are_counted_to_where_it_is_enough() -> None:
    every = a_schedule("* * * * *")
    assert missed(every, NOON - 3 * 365 * DAY, NOON) == Missed([], 0, MAX_COUNTED)


# How a moment is written


def at(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def test_a_run_id_is_the_due_time_in_utc() -> None:
    assert run_id(at("2026-12-24T18:00:00+01:00")) == run_id(at("2026-12-24T22:45:00+05:45"))
    assert run_id(at("2026-12-24T18:00:00+01:00")) == "20261224T170000Z"


@pytest.mark.parametrize(("fraction", "ending"), [(".5", "17.5Z"), (".000001", "17.000001Z"), (".120", "17.12Z")])
def test_the_run_id_of_a_fraction_of_a_second_is_its_own(fraction: str, ending: str) -> None:
    id_ = run_id(at(f"2026-12-24T18:00:17{fraction}+00:00"))
    assert id_.endswith(ending)
    assert is_name(id_)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-12-24T18:00:00+05:00", "2026-12-24T13:00+00:00"),
        ("2026-12-24T18:00:00", "2026-12-24T18:00+01:00"),
        ("2026-06-24", "2026-06-24T00:00+02:00"),
        ("2026-10-25T02:30:15", "2026-10-25T02:30:15+02:00"),
        ("2026-10-25T02:30:15+01:00", "2026-10-25T02:30:15+01:00"),
        ("2026-03-29T02:30:00", "2026-03-29T03:00+02:00"),
        ("2026-03-29T02:30:15.5", "2026-03-29T03:00+02:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_timezone(written: str, expected: str) -> None:
    assert instant(datetime.fromisoformat(written), "Europe/Berlin") == at(expected)


@pytest.mark.parametrize(
    "timezone", ["", "local", "CEST+1:77", "Europe", "Europe/Bonn", "../UTC", "/etc/localtime", "a\0"]
)
def test_what_is_no_timezone_is_refused(timezone: str) -> None:
    with pytest.raises(ValueError):
        zone(timezone)
