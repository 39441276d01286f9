"""Due times of schedules, and missed ones. Pure: times are seconds since the epoch.

What an expression means is cronsim's business, whose language is that of Debian's cron. Which moments it stands
for where clocks are changed is decided here, by the rules of Debian's cron(8): an expression whose minute or hour
begins with `*` keeps its rhythm, so it is due in each of two hours of one name, and not in an hour that there is
not; any other is due once, at the first of two such times, and right after the gap that its time falls into.
"""

import math
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from aqueue.model.schedule import Schedule
from aqueue.policy.cron_syntax import plain

LIVE_SECONDS: Final = 60.0
"""The seconds after which a due time that was not noticed is missed."""

MAX_CAUGHT_UP: Final = 1000
"""The number of missed times of a schedule that are made up for at once: the newest."""

MAX_COUNTED: Final = 10_000
"""Up to where the others are counted."""

NOT_UNDERSTOOD: Final = (ValueError, OverflowError, CronSimError)
"""The errors of a schedule that was good once: its timezone may be gone, or cron's language have changed."""

_MINUTE = timedelta(minutes=1)
_DAY = 86400.0


class Missed(msgspec.Struct, frozen=True):
    """The result for due times that were missed.

    Attributes:
        caught_up: those that are made up for, oldest first.
        left_out: how many within the window were too many for that.
        forgotten: how many are not made up for, those left out among them.
    """

    caught_up: list[float]
    left_out: int
    forgotten: int


def run_id(due: float) -> str:
    """Return what identifies the run of a due time among those of its name: the time in UTC.

    >>> run_id(1798131600.0)
    '20261224T170000Z'
    """
    moment = datetime.fromtimestamp(due, UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"


def instant(written: datetime, timezone: str) -> float:
    """Return the moment that somebody wrote down, in that timezone if it names none itself."""
    if written.tzinfo is not None:
        return written.timestamp()
    return _first(written, zone(timezone))


@lru_cache
def zone(timezone: str) -> ZoneInfo:
    """Return the timezone of that name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        raise ValueError(timezone) from None


def due_times(schedule: Schedule, after: float) -> Iterator[float]:
    """Yield the moments after `after` at which a schedule is due, one after the other; perhaps without end."""
    if schedule.at is not None:
        yield from (at for at in (schedule.at,) if at > after)
        return
    where = zone(schedule.timezone)
    last = after
    for due in merge(*(_moments(plain(expression), where, after) for expression in schedule.expressions)):
        if due > last:
            yield due
            last = due


def next_due(schedule: Schedule, after: float) -> float | None:
    """Return the first moment after `after` at which a schedule is due; None if there is none."""
    return next(due_times(schedule, after), None)


def live(schedule: Schedule, after: float, now: float) -> list[float]:
    """Return the due times after `after` up to `now` that are not missed yet, oldest first."""
    # A minute late, to the instant, is not over a minute late.
    return _up_to(schedule, max(after, math.nextafter(now - LIVE_SECONDS, -math.inf)), now)


def missed(schedule: Schedule, after: float, now: float) -> Missed:
    """Return what becomes of the due times after `after` that are missed by `now`."""
    until = math.nextafter(now - LIVE_SECONDS, -math.inf)
    opens = min(max(after, now - schedule.catchup_window), until)
    newest = _newest(schedule, opens, until)
    left_out = 0
    if len(newest) == MAX_CAUGHT_UP:
        left_out = _count(schedule, opens, math.nextafter(newest[0], -math.inf))
    return Missed(newest, left_out, left_out + _count(schedule, after, opens))


def _moments(expression: str, where: ZoneInfo, after: float) -> Iterator[float]:
    """Yield the moments of one expression, in their order, from about `after` on."""
    keeps_rhythm = any(field.startswith("*") for field in expression.split()[:2])
    before, afterwards = (_offset(where, moment) for moment in (after - _DAY, after + _DAY))
    # What a clock has shown before it was put back, it shows again.
    start = math.floor(after - max(0.0, (before - afterwards).total_seconds()))
    again: deque[float] = deque()
    # Given the timezone, CronSim would step by whole hours and miss times near some changes of clocks.
    for wall in CronSim(expression, datetime.fromtimestamp(start, where).replace(tzinfo=None)):
        first, second = _passes(wall, where)
        if second < first:
            if keeps_rhythm:
                continue
            first = _first(wall, where)
        while again and again[0] < first:
            yield again.popleft()
        yield first
        if second > first and keeps_rhythm:
            again.append(second)
    yield from again


def _passes(wall: datetime, where: ZoneInfo) -> tuple[float, float]:
    """Return when a wall clock shows that time, first and again; they differ where it is changed, see PEP 495.

    In a gap, where it never does, the second comes before the first.
    """
    return wall.replace(tzinfo=where, fold=0).timestamp(), wall.replace(tzinfo=where, fold=1).timestamp()


def _first(wall: datetime, where: ZoneInfo) -> float:
    """Return when a clock on the wall first shows that time, or what comes next if it never does."""
    while True:
        first, second = _passes(wall, where)
        if second >= first:
            return first
        # No clock was ever changed within a minute.
        wall = wall.replace(second=0, microsecond=0) + _MINUTE


def _offset(where: ZoneInfo, moment: float) -> timedelta:
    return datetime.fromtimestamp(moment, where).utcoffset() or timedelta()


def _up_to(schedule: Schedule, after: float, until: float) -> list[float]:
    return list(takewhile(lambda due: due <= until, due_times(schedule, after)))


def _newest(schedule: Schedule, after: float, until: float) -> list[float]:
    """Return the last due times after `after` up to `until`, as many as are ever made up for."""
    span = _DAY
    while True:
        start = max(after, until - span)
        found = _up_to(schedule, start, until)
        if len(found) >= MAX_CAUGHT_UP or start == after:
            return found[-MAX_CAUGHT_UP:]
        span *= 8


def _count(schedule: Schedule, after: float, until: float) -> int:
    times = takewhile(lambda due: due <= until, due_times(schedule, after))
    return sum(1 for _ in islice(times, MAX_COUNTED))
