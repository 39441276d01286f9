"""Due times of schedules, and missed ones. Pure: times are seconds since the epoch.

cronsim evaluates expressions in the dialect of Debian's cron. This module handles changes of the clock by the
rules of Debian's cron(8). An expression whose minute or hour begins with `*` keeps its rhythm: it is due in both
of two repeated hours, and not in a skipped one. Any other is due once: at the first of two repeated times, or
right after the gap that contains its time.
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
"""The age in seconds at which an unhandled due time is missed."""

MAX_CAUGHT_UP: Final = 1000
"""The maximum number of missed times to make up for at once: the newest."""

MAX_COUNTED: Final = 10_000
"""The number up to which the other missed times are counted."""

NOT_UNDERSTOOD: Final = (ValueError, OverflowError, CronSimError)
"""The errors of a stored schedule whose timezone is gone, or whose expressions are no longer accepted."""

_MINUTE = timedelta(minutes=1)
_DAY = 86400.0


class Missed(msgspec.Struct, frozen=True):
    """The decision about missed times.

    Attributes:
        caught_up: the times to make up for, oldest first.
        left_out: the number of times in the window beyond the maximum.
        forgotten: the number of times not made up for, including those left out.
    """

    caught_up: list[float]
    left_out: int
    forgotten: int


def run_id(due: float) -> str:
    """Return the run_id of a due time: the time in UTC.

    >>> run_id(1798131600.0)
    '20261224T170000Z'
    """
    moment = datetime.fromtimestamp(due, UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"


def instant(written: datetime, timezone: str) -> float:
    """Return a written time as seconds since the epoch; in `timezone` if it names none itself."""
    if written.tzinfo is not None:
        return written.timestamp()
    return _first(written, zone(timezone))


@lru_cache
def zone(timezone: str) -> ZoneInfo:
    """Return the timezone with this name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        raise ValueError(timezone) from None


def due_times(schedule: Schedule, after: float) -> Iterator[float]:
    """Yield the due times of a schedule after `after` in order; possibly endless."""
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
    """Return the first due time after `after`; None if there is none."""
    return next(due_times(schedule, after), None)


def live(schedule: Schedule, after: float, now: float) -> list[float]:
    """Return the due times after `after` up to `now` that are not missed yet, oldest first."""
    # Exactly a minute late is not missed yet.
    return _up_to(schedule, max(after, math.nextafter(now - LIVE_SECONDS, -math.inf)), now)


def missed(schedule: Schedule, after: float, now: float) -> Missed:
    """Decide about the due times after `after` that are missed by `now`."""
    until = math.nextafter(now - LIVE_SECONDS, -math.inf)
    opens = min(max(after, now - schedule.catchup_window), until)
    newest = _newest(schedule, opens, until)
    left_out = 0
    if len(newest) == MAX_CAUGHT_UP:
        left_out = _count(schedule, opens, math.nextafter(newest[0], -math.inf))
    return Missed(newest, left_out, left_out + _count(schedule, after, opens))


def _moments(expression: str, where: ZoneInfo, after: float) -> Iterator[float]:
    """Yield the due times of one expression in order, from about `after` on."""
    keeps_rhythm = any(field.startswith("*") for field in expression.split()[:2])
    before, afterwards = (_offset(where, moment) for moment in (after - _DAY, after + _DAY))
    # A clock that was set back shows earlier times again.
    start = math.floor(after - max(0.0, (before - afterwards).total_seconds()))
    again: deque[float] = deque()
    # Without the timezone: with it, CronSim steps by whole hours and misses times near some clock changes.
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
    """Return the first and second time at which a wall clock shows `wall`; see PEP 495.

    They are equal unless the clock is changed. In a gap, the second is before the first.
    """
    return wall.replace(tzinfo=where, fold=0).timestamp(), wall.replace(tzinfo=where, fold=1).timestamp()


def _first(wall: datetime, where: ZoneInfo) -> float:
    """Return when a wall clock first shows `wall`, or the end of the gap that contains it."""
    while True:
        first, second = _passes(wall, where)
        if second >= first:
            return first
        # Clocks change only at whole minutes.
        wall = wall.replace(second=0, microsecond=0) + _MINUTE


def _offset(where: ZoneInfo, moment: float) -> timedelta:
    return datetime.fromtimestamp(moment, where).utcoffset() or timedelta()


def _up_to(schedule: Schedule, after: float, until: float) -> list[float]:
    return list(takewhile(lambda due: due <= until, due_times(schedule, after)))


def _newest(schedule: Schedule, after: float, until: float) -> list[float]:
    """Return the last due times after `after` up to `until`, at most `MAX_CAUGHT_UP`."""
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
