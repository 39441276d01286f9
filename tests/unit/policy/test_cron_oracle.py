"""The due times of schedules against an oracle that walks through the minutes and looks at a clock on the wall."""

import math
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqueue.model.basics import is_name
from aqueue.model.schedule import Schedule
from aqueue.policy.cron import due_times, instant, live, missed, next_due, run_id
from aqueue.policy.cron_syntax import check, in_words
from tests.unit.walls import MONTHS, WEEKDAYS, Cron, a_schedule, walk

pytestmark = pytest.mark.at_length

HOURS = 3600.0
DAYS = 86400.0

# Each with years in which there was something to see.
ZONES = {
    "Europe/Berlin": (2024, 2027),
    "America/New_York": (2005, 2008),  # other rules from 2007 on
    "Australia/Lord_Howe": (2024, 2026),  # by half an hour
    "Antarctica/Troll": (2022, 2024),  # by two hours
    "America/Havana": (2011, 2013),  # back to midnight, and on from it
    "America/Sao_Paulo": (2016, 2019),  # back to the day before, and on from midnight
    "Africa/Casablanca": (2018, 2021),  # back for a month in spring
    "Asia/Kathmandu": (1985, 1986),  # once, by a quarter of an hour
    "Pacific/Apia": (2010, 2012),  # once, by a day
}


def oracle(schedule: Schedule, after: float, until: float) -> list[float]:
    crons = [Cron(expression) for expression in schedule.expressions]
    steps = (step for step in walk(schedule.timezone, after, until) if step.moment > after)
    return [step.moment for step in steps if any(cron.is_due(step) for cron in crons)]


def due_in(schedule: Schedule, after: float, until: float) -> list[float]:
    return list(takewhile(lambda due: due <= until, due_times(schedule, after)))


def changes(zone: str) -> list[float]:
    """The hours in which the clocks of a zone are changed."""
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (ZONES[zone][0], ZONES[zone][1] + 1))
    days = [first.timestamp() + day * DAYS for day in range((last - first).days)]
    hours = [day + hour * HOURS for day in days if changes_within(zone, day, DAYS) for hour in range(24)]
    return [hour + HOURS for hour in hours if changes_within(zone, hour, HOURS)]


def changes_within(zone: str, moment: float, seconds: float) -> bool:
    before, after = (datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset() for at in (moment, moment + seconds))
    return before != after


CHANGES = {zone: changes(zone) for zone in ZONES}

# Expressions


def fields(lowest: int, highest: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    def spelt(number: int, *, by_name: bool) -> str:
        return names[number - lowest] if names and by_name and number - lowest < len(names) else str(number)

    one = st.builds(spelt, st.integers(lowest, highest), by_name=st.booleans())
    span = st.builds(
        lambda ends, by_name: "-".join(spelt(end, by_name=by_name) for end in sorted(ends)),
        st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)),
        # A week that is written in names ends on Saturday: its Sunday comes first.
        st.booleans() if names is not WEEKDAYS else st.just(False),
    )
    step = st.integers(1, 40).map("/{}".format)
    # To cronsim 5-5/2 is 5/2, which is 5 and every second one after it.
    many = span.filter(lambda written: len(set(written.split("-"))) == 2)
    item = st.one_of(one, span, st.builds("{}{}".format, many | one | st.just("*"), step), st.just("*"))
    return st.one_of(one, item, st.lists(item, min_size=2, max_size=4).map(",".join))


def mostly(common: st.SearchStrategy[str], other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(common, common, common, other)


# Most clocks are changed in the first hours of a day.
EXPRESSIONS = st.builds(
    lambda *written: " ".join(written),
    mostly(st.sampled_from(["0", "30", "*/15", "7,37", "59", "*"]), fields(0, 59)),
    mostly(st.sampled_from(["0", "1", "2", "3", "23", "*", "0-3", "1-3,23"]), fields(0, 23)),
    mostly(st.just("*"), fields(1, 31)),
    mostly(st.just("*"), fields(1, 12, MONTHS)),
    mostly(st.just("*"), fields(0, 7, WEEKDAYS)),
)
# cronsim, given the timezone, passes over some times of the last two.
WRITTEN = ("0,30 1,2 * * *", "*/20 0-3 * * *", "15 0,2,23 */2 * fri-sat", "*/30 1 * * *", "*/30 3 * * *")
FREQUENT = st.sampled_from(["* * * * *", "*/2 * * * *", "0-58 1-23 * * *", "*/15 * * * *", "0,20 2 * * *"])


def is_ever_due(expression: str) -> bool:
    try:
        check(expression)
    except ValueError:
        return False
    return True


@st.composite
def schedules_and_moments(
    draw: st.DrawFn, moments: int, written: st.SearchStrategy[str] = EXPRESSIONS
) -> tuple[Schedule, list[float]]:
    """A schedule, and moments in their order, most often around a change of its clocks."""
    zone = draw(st.sampled_from(sorted(ZONES)))
    if draw(st.integers(0, 3)):
        about, most = draw(st.sampled_from(CHANGES[zone])), draw(st.sampled_from([200, 36 * 60]))
    else:
        about, most = draw(st.sampled_from(CHANGES[zone])) + draw(st.integers(-200, 200)) * DAYS, 36 * 60
    minutes = st.integers(-most, most).map(lambda number: about + 60.0 * number)
    beside = st.sampled_from([(math.nextafter, 0.0), (math.nextafter, math.inf), (float.__add__, 0.5)])
    moment = minutes | st.builds(lambda at, aside: aside[0](at, aside[1]), minutes, beside)
    expressions = draw(st.lists(written.filter(is_ever_due), min_size=1, max_size=3))
    return a_schedule(*expressions, timezone=zone), sorted(draw(moment) for _ in range(moments))


# Properties


@settings(max_examples=150)
@given(schedules_and_moments(2))
def test_a_schedule_is_due_when_the_clock_on_the_wall_says_so(drawn: tuple[Schedule, list[float]]) -> None:
    schedule, (after, until) = drawn
    assert due_in(schedule, after, until) == oracle(schedule, after, until)


@pytest.mark.parametrize("zone", ZONES)
def test_around_each_change_of_its_clocks_a_schedule_is_due_when_the_clock_says_so(zone: str) -> None:
    for change in CHANGES[zone]:
        assert_due(zone, change - DAYS, change + DAYS)


def test_over_a_whole_leap_year_a_schedule_is_due_when_the_clock_says_so() -> None:
    begin, end = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2024, 2025))
    assert_due("Australia/Lord_Howe", begin, end)


def assert_due(zone: str, after: float, until: float) -> None:
    crons = [Cron(expression) for expression in WRITTEN]
    expected: list[list[float]] = [[] for _ in WRITTEN]
    for step in walk(zone, after, until):
        for cron, due in zip(crons, expected, strict=True):
            if step.moment > after and cron.is_due(step):
                due.append(step.moment)
    assert [due_in(a_schedule(one, timezone=zone), after, until) for one in WRITTEN] == expected
    together = due_in(a_schedule(*WRITTEN, timezone=zone), after, until)
    assert together == sorted(set(chain.from_iterable(expected)))


@settings(max_examples=100)
@given(schedules_and_moments(3))
def test_a_time_that_is_cut_in_two_has_the_same_due_times(drawn: tuple[Schedule, list[float]]) -> None:
    schedule, (after, cut, until) = drawn
    whole = due_in(schedule, after, until)
    assert due_in(schedule, after, cut) + due_in(schedule, cut, until) == whole
    for due, following in list(pairwise([after, *whole]))[:: len(whole) // 5 + 1]:
        assert next_due(schedule, due) == following


@given(schedules_and_moments(1))
def test_due_times_lie_after_the_moment_each_later_than_the_one_before(
    drawn: tuple[Schedule, list[float]],
) -> None:
    schedule, (after,) = drawn
    first = [due for due, _ in zip(due_times(schedule, after), range(50), strict=False)]
    assert all(before < due for before, due in pairwise([after, *first]))
    assert next_due(schedule, after) == (first[0] if first else None)


@given(
    schedules_and_moments(2, EXPRESSIONS | FREQUENT),
    st.sampled_from([0.0, 30.0, 60.0, 61.0, 600.0, 1000 * 60.0, 1001 * 60.0, 2 * DAYS]) | st.floats(0, 3 * DAYS),
)
def test_each_due_time_is_either_made_live_or_caught_up_or_forgotten(
    drawn: tuple[Schedule, list[float]], window: float
) -> None:
    schedule, (after, now) = drawn
    schedule = a_schedule(*schedule.expressions, timezone=schedule.timezone, catchup_window=window)
    every = oracle(schedule, after, now)
    late = [due for due in every if now - due > 60]
    within = [due for due in late if due > now - window]
    what = missed(schedule, after, now)
    assert live(schedule, after, now) == every[len(late) :]
    assert what.caught_up == within[-1000:]
    assert what.left_out == len(within) - len(what.caught_up)
    assert what.forgotten == len(late) - len(what.caught_up)


@given(schedules_and_moments(3))
def test_a_single_time_is_due_once(drawn: tuple[Schedule, list[float]]) -> None:
    schedule, (after, cut, until) = drawn
    once = a_schedule(at=cut, timezone=schedule.timezone)
    assert due_in(once, after, until) == ([cut] if after < cut <= until else [])
    assert next_due(once, cut) is None
    assert due_in(once, cut, until) == []


@settings(max_examples=200)
@given(
    st.sampled_from([(zone, change) for zone in ZONES for change in CHANGES[zone]]),
    st.integers(0, 120),
    st.timedeltas(timedelta(0), timedelta(hours=3)),
)
def test_a_time_without_an_offset_is_when_a_clock_on_the_wall_first_shows_it_or_has_passed_it(
    change: tuple[str, float], minutes: int, later: timedelta
) -> None:
    zone, about = change[0], change[1] - 60 * minutes
    wall = datetime.fromtimestamp(about, ZoneInfo(zone)).replace(tzinfo=None) + later
    minute = wall.replace(second=0, microsecond=0)
    step = next(step for step in walk(zone, about, about + DAYS) if minute in step.passed)
    expected = step.moment + (wall - minute).total_seconds() if step.wall == minute else step.moment
    assert instant(wall, zone) == pytest.approx(expected, rel=0, abs=1e-6)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), st.sampled_from(sorted(ZONES)), st.data())
def test_a_run_id_is_the_same_in_the_spelling_of_any_zone(
    written: datetime, zone: str, data: st.DataObject
) -> None:
    moment = written.replace(tzinfo=UTC)
    spelt = moment.astimezone(ZoneInfo(zone)).isoformat()
    id_ = run_id(instant(datetime.fromisoformat(spelt), data.draw(st.sampled_from(sorted(ZONES)))))
    assert id_ == run_id(moment.timestamp())
    assert is_name(id_)


@given(st.sets(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), max_size=5))
def test_each_due_time_has_a_run_id_of_its_own(written: set[datetime]) -> None:
    assert len({run_id(moment.replace(tzinfo=UTC).timestamp()) for moment in written}) == len(written)


@settings(max_examples=300)
@given(st.text("0123456789*,-/#LWMONFRI @", max_size=20) | EXPRESSIONS)
def test_what_passes_the_check_is_due_and_can_be_said_in_words(expression: str) -> None:
    try:
        check(expression)
    except ValueError as error:
        assert str(error)
        return
    assert in_words(expression)
    assert next_due(a_schedule(expression), 1.8e9) is not None


@given(EXPRESSIONS)
def test_an_expression_is_refused_only_if_a_step_is_too_large_or_there_is_no_such_day(expression: str) -> None:
    cron = Cron(expression)
    days = (datetime(2000, 1, 1) + timedelta(days=number) for number in range(50 * 366))
    wall = next(
        (day for day in days if cron.says(day.replace(hour=min(cron.hours), minute=min(cron.minutes)))), None
    )
    try:
        check(expression)
    except ValueError as error:
        assert wall is None or "reaches only the first" in str(error)
    else:
        assert wall is not None
