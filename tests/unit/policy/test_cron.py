import math
from datetime import datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from aqueue.policy.cron import due_times, next_due
from aqueue.policy.cron_syntax import MACROS, check, in_words
from tests.unit.walls import a_schedule

NOON = 1_782_820_800.0  # 2026-06-30T12:00:00Z, a Tuesday
HOUR = 3600.0
DAY = 86400.0


def moment(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def due(after: str, until: str, *expressions: str, timezone: str = "Europe/Berlin") -> list[str]:
    """The due times in a stretch of time, as a clock there shows them."""
    end = moment(until)
    found = takewhile(
        lambda due: due <= end, due_times(a_schedule(*expressions, timezone=timezone), moment(after))
    )
    return [datetime.fromtimestamp(due, ZoneInfo(timezone)).isoformat(timespec="minutes") for due in found]


# In spring 02:00+01:00 is 03:00+02:00; in autumn 03:00+02:00 is 02:00+01:00.
SPRING = ("2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00")
AUTUMN = ("2026-10-25T00:30+02:00", "2026-10-25T04:00+01:00")

# Where clocks are changed


def test_a_time_in_the_gap_is_due_once_right_after_it() -> None:
    assert due(*SPRING, "30 2 * * *") == ["2026-03-29T03:00+02:00"]


def test_several_times_in_the_gap_and_the_one_right_after_it_are_one() -> None:
    assert due(*SPRING, "0,10,50 2 * * *", "5 2 * * *", "0 3 * * *") == ["2026-03-29T03:00+02:00"]


def test_a_time_in_the_fold_is_due_once_at_the_first_of_the_two() -> None:
    assert due(*AUTUMN, "30 2 * * *") == ["2026-10-25T02:30+02:00"]
    assert due(*AUTUMN, "0,30 2,3 * * *") == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T03:00+01:00",
        "2026-10-25T03:30+01:00",
    ]


def test_within_the_second_of_two_hours_that_is_not_due_again() -> None:
    assert due("2026-10-25T02:10+01:00", "2026-10-26T12:00+01:00", "30 2 * * *") == ["2026-10-26T02:30+01:00"]


def test_every_so_many_minutes_keep_their_rhythm() -> None:
    assert due("2026-03-29T01:15+01:00", "2026-03-29T03:30+02:00", "*/20 * * * *") == [
        "2026-03-29T01:20+01:00",
        "2026-03-29T01:40+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:20+02:00",
    ]
    assert due("2026-10-25T02:15+02:00", "2026-10-25T03:00+01:00", "*/20 * * * *") == [
        "2026-10-25T02:20+02:00",
        "2026-10-25T02:40+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:20+01:00",
        "2026-10-25T02:40+01:00",
        "2026-10-25T03:00+01:00",
    ]


@pytest.mark.parametrize("hourly", ["0 * * * *", "@hourly", "0 */1 * * *"])
def test_every_hour_has_one_in_each_hour_that_there_is(hourly: str) -> None:
    assert len(due(*SPRING, hourly)) == 23
    assert due(*AUTUMN, hourly) == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
        "2026-10-25T04:00+01:00",
    ]


def test_every_minute_of_an_hour_that_there_is_not_is_not_due() -> None:
    assert due(*SPRING, "* 2 * * *") == []


def test_expressions_side_by_side_keep_each_its_own_rule() -> None:
    assert due("2026-10-25T02:25+02:00", "2026-10-25T02:45+01:00", "30 2 * * *", "*/15 2 * * *") == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:45+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:15+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T02:45+01:00",
    ]


@pytest.mark.parametrize(
    ("timezone", "after", "until", "expected"),
    [
        # By half an hour: 02:00 is 02:30, and later 02:00 is 01:30.
        ("Australia/Lord_Howe", "2025-10-04T12:00Z", "2025-10-04T18:00Z", ["2025-10-05T02:30+11:00"]),
        ("Australia/Lord_Howe", "2025-04-05T12:00Z", "2025-04-05T18:00Z", ["2025-04-06T02:15+10:30"]),
        # The whole of Friday 30 December 2011 was left out.
        ("Pacific/Apia", "2011-12-30T06:00Z", "2011-12-30T12:00Z", ["2011-12-31T00:00+14:00"]),
        ("Asia/Kathmandu", "2026-03-28T12:00Z", "2026-03-29T12:00Z", ["2026-03-29T02:15+05:45"]),
    ],
)
def test_clocks_elsewhere_are_changed_in_other_ways(
    timezone: str, after: str, until: str, expected: list[str]
) -> None:
    assert (
        due(after.replace("Z", "+00:00"), until.replace("Z", "+00:00"), "15 2 * * *", timezone=timezone)
        == expected
    )


# What expressions say


def test_a_schedule_is_due_after_a_moment_but_never_at_it() -> None:
    hourly = a_schedule("0 * * * *")
    assert next_due(hourly, NOON) == NOON + HOUR
    assert next_due(hourly, NOON - 0.001) == NOON
    assert next_due(hourly, NOON + 0.001) == NOON + HOUR


def test_a_moment_is_never_so_close_before_a_due_time_that_this_is_passed_over() -> None:
    just_before = math.nextafter(NOON, -math.inf)
    assert next_due(a_schedule("0 * * * *"), just_before) == NOON


def test_of_several_expressions_each_moment_is_due_once() -> None:
    both = a_schedule("0,30 * * * *", "*/20 * * * *", "0,30 * * * *")
    assert [due - NOON for due in islice(due_times(both, NOON), 4)] == [1200, 1800, 2400, 3600]


@pytest.mark.parametrize(("macro", "expression"), MACROS.items())
def test_a_macro_is_short_for_an_expression(macro: str, expression: str) -> None:
    for spelling in (macro, macro.upper(), f" {macro} "):
        check(spelling)
        assert in_words(spelling) == in_words(expression)
        short, long = (list(islice(due_times(a_schedule(one), NOON), 5)) for one in (spelling, expression))
        assert short == long


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 * * 0", "2026-07-05"),
        ("0 0 * * 7", "2026-07-05"),
        ("0 0 * * sun", "2026-07-05"),
        ("0 0 * * Fri-SAT", "2026-07-03"),
        ("0 0 1 AUG *", "2026-08-01"),
        ("0 0 15 * 5", "2026-07-03"),  # either
        ("0 0 */14 * 3", "2026-07-01"),  # both
        ("0 0 15-21 * */7", "2026-07-19"),  # both
        ("0 0 5/10 * *", "2026-07-05"),
        ("0 0 29 2 *", "2028-02-29"),
        ("0 0 29 2 */7", "2032-02-29"),
        ("0 0 L * *", "2026-07-31"),
        ("0 0 * * 5#2", "2026-07-10"),
        ("0 0 * * 5L", "2026-07-31"),
    ],
)
def test_an_expression_says_which_days(expression: str, expected: str) -> None:
    assert next_due(a_schedule(expression), NOON) == moment(f"{expected}T00:00+00:00")


def test_a_single_time_is_due_then_and_never_again() -> None:
    once = a_schedule(at=NOON + 0.25)
    assert list(due_times(once, 0)) == [NOON + 0.25]
    assert next_due(once, NOON) == NOON + 0.25
    assert next_due(once, NOON + 0.25) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 2 * * *", "At 02:00 every day"),
        ("@hourly", "At the start of every hour"),
        ("*/15 * * * *", "Every 15th minute of every hour"),
        ("30 9 * * mon-fri", "At 09:30 on Monday through Friday"),
        ("0 0 1 1 *", "At 00:00 on January 1"),
        # Either day field with all of its days makes it every day, as the other is an alternative.
        ("0 9 1-31 * 1", "At 09:00 every day"),
        ("0 9 15 * 0-6", "At 09:00 every day"),
        ("0 9 1,15 * mon", "At 09:00 on the first and the 15th day of month and on Monday"),
        ("0 9 */2 * 1", "At 09:00 on every second day of month if it's on Monday"),
        ("0 9 * * MON-SUN", "At 09:00 on Monday through Sunday"),
        ("0 9 * * FRI-MON", "At 09:00 on Friday, Saturday, Sunday, and Monday"),
        ("0 0 ? * MON", "At 00:00 on Monday"),
    ],
)
def test_an_expression_can_be_said_in_words(expression: str, words: str) -> None:
    assert in_words(expression) == words


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0 9 * * FRI-MON", "0 9 * * 5,6,0,1"),
        ("0 9 * * 6-2", "0 9 * * 0,1,2,6"),
        ("0 9 * * MON-SUN", "0 9 * * *"),
        ("0 9 ? * 1", "0 9 * * 1"),
        ("0 9 1 * ?", "0 9 1 * *"),
    ],
)
def test_what_other_dialects_write_is_taken_where_it_is_well_defined(written: str, meant: str) -> None:
    check(written)
    found, expected = (
        list(islice(due_times(a_schedule(expression), NOON), 30)) for expression in (written, meant)
    )
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("", "it has 0 fields, not 5"),
        ("daily", "it has 1 field, not 5"),
        ("0 2 * *", "it has 4 fields, not 5"),
        ("0 0 2 * * *", "it has 6 fields, not 5"),
        ("@reboot", "there is no such name, only @hourly, @daily"),
        ("@every 5m", "there is no such name, only @hourly, @daily"),
        ("60 * * * *", "the minute must be 0 to 59"),
        ("-1 * * * *", "the minute must be 0 to 59"),
        ("*/0 * * * *", "the minute must be 0 to 59"),
        ("1.5 * * * *", "the minute must be 0 to 59"),
        ("1, * * * *", "the minute must be 0 to 59"),
        ("٣ * * * *", "the minute must be 0 to 59"),
        ("0 24 * * *", "the hour must be 0 to 23"),
        ("0 5-1 * * *", "the hours go backwards in 5-1; write 5-23,0-1"),
        ("0 0 0 * *", "the day of month must be 1 to 31, or L"),
        ("0 0 32 * *", "the day of month must be 1 to 31, or L"),
        ("0 0 * 13 *", "the month must be 1 to 12, or JAN to DEC"),
        ("0 0 * feb-foo *", "the month must be 1 to 12, or JAN to DEC"),
        ("0 0 * * 8", "the day of week must be 0 to 7, or SUN to SAT"),
        ("0 0 * * monday", "the day of week must be 0 to 7, or SUN to SAT"),
        ("0 0 30 2 *", "February has no day 30; write L for its last"),
        ("0 9 31 2 *", "February has no day 31"),
        ("0 9 31 4 *", "a month of 4 has no day 31"),
        ("? 9 * * *", "? is only for the two day fields; write * for any minute"),
        ("0 9 * ? *", "write * for any month"),
        ("0 9 * * * 2026", "it has 6 fields, not 5: there are no years; write 0 9 * * *"),
        ("*/60 * * * *", "the step 60 reaches only the first of 60 minutes"),
        ("0 */24 * * *", "the step 24 reaches only the first of 24 hours"),
        ("0 0 */31 * *", "the step 31 reaches only the first of 31 days"),
        ("0 0 1 */12 *", "the step 12 reaches only the first of 12 months"),
        ("0 0 */30 2 mon#5", "there is no such day"),
        ("*/90 * * * *", "the step 90 reaches only the first of 60 minutes; name the minutes instead"),
        ("0 */25 * * *", "the step 25 reaches only the first of 24 hours"),
        ("0 0 */40 * *", "the step 40 reaches only the first of 31 days of month"),
        ("0 9 * */13 *", "the step 13 reaches only the first of 12 months"),
        ("0 9 * * */8", "the step 8 reaches only the first of 7 days of week"),
        ("5/90 * * * *", "the step 90 reaches only the first of 60 minutes"),
        ("10-20/15 * * * *", "the step 15 reaches only the first of the 11 minutes in 10-20"),
        ("~ * * * *", "random times (~) are not supported"),
        ("0~30 * * * *", "random times (~) are not supported"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "timezone: Europe/Berlin, and schedule: 0 9 * * *"),
        ("TZ=UTC 0 9 * * *", "timezone: UTC, and schedule: 0 9 * * *"),
        ("0 0 9 * * ?", "if the first is for seconds, write 0 9 * * ?"),
        ("0 22-2 * * *", "the hours go backwards in 22-2; write 22-23,0-2"),
    ],
)
def test_what_is_no_expression_or_never_due_is_refused(expression: str, what: str) -> None:
    with pytest.raises(ValueError) as refused:
        check(expression)
    assert what in str(refused.value)


@pytest.mark.parametrize(
    ("zone", "expression", "day", "due"),
    [
        # Midnight is skipped there: the day begins at 01:00.
        ("America/Havana", "*/30 1 * * 0", "2011-03-20", ["01:00 -04:00", "01:30 -04:00"]),
        # The clock is put on, and back, by half an hour.
        ("Australia/Lord_Howe", "*/30 3 * * *", "2026-10-04", ["03:00 +11:00", "03:30 +11:00"]),
        ("Australia/Lord_Howe", "*/30 3 * * *", "2026-04-05", ["03:00 +10:30", "03:30 +10:30"]),
    ],
)
def test_a_rhythm_is_kept_where_clocks_are_not_changed_by_whole_hours_at_night(
    zone: str, expression: str, day: str, due: list[str]
) -> None:
    """Shows why cronsim is not given the timezone: it steps by whole hours and misses these."""
    noon_before = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)) - timedelta(days=1)
    times = due_times(a_schedule(expression, timezone=zone), noon_before.timestamp())
    found = takewhile(lambda at: at < noon_before.timestamp() + 86400, times)
    shown = [datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat(" ") for at in found]
    assert [f"{text[11:16]} {text[-6:]}" for text in shown] == due
