"""The times of schedules in words for people."""

from datetime import UTC, datetime, tzinfo
from itertools import islice

from aqueue.client.session import now
from aqueue.model.schedule import Schedule, StoredSchedule
from aqueue.policy import cron as times
from aqueue.policy import cron_syntax

_SHOWN = 3


def in_words(schedule: Schedule) -> str:
    """Return when a schedule is due."""
    if schedule.at is not None:
        return f"Once, {at_home(schedule, schedule.at)}"
    if not schedule.expressions:
        return "Never"
    try:
        words = "; ".join(map(cron_syntax.in_words, schedule.expressions))
    except times.NOT_UNDERSTOOD:
        words = "; ".join(schedule.expressions)
    return f"{words} ({schedule.timezone})"


def next_times(schedule: Schedule, after: float, count: int) -> list[str]:
    """So many of the next due times, as the clocks where the schedule is at home show them."""
    return [at_home(schedule, due) for due in islice(times.due_times(schedule, after), count)]


def in_zone(moment: float, zone: tzinfo) -> str:
    """Return a moment as the clocks of a timezone show it, with the zone's own name for it.

    >>> from zoneinfo import ZoneInfo
    >>> in_zone(1795939200.0, ZoneInfo("Europe/Berlin"))
    'Sun 2026-11-29 09:00:00 CET (+01:00)'
    >>> in_zone(1795939200.0, UTC)
    'Sun 2026-11-29 08:00:00 UTC'
    """
    shown = datetime.fromtimestamp(moment, zone)
    name, clock = shown.tzname() or "", shown.replace(tzinfo=None).isoformat(" ")
    # Several zones share an abbreviation such as IST; others have nothing but the offset for a name.
    offset = f" ({shown.isoformat()[-6:]})" if name.isalpha() and name != "UTC" else ""
    return f"{shown:%a} {clock} {name}{offset}"


def at_home(schedule: Schedule, moment: float) -> str:
    """Return a moment as the clocks of a schedule's timezone show it."""
    try:
        zone: tzinfo = times.zone(schedule.timezone)
    except times.NOT_UNDERSTOOD:
        zone = UTC
    return in_zone(moment, zone)


def upcoming(stored: StoredSchedule) -> list[float]:
    """Return the next due times of a schedule."""
    if stored.paused:
        return []
    # What is due by now, but not handled because no server is up, is not next.
    try:
        return list(islice(times.due_times(stored.schedule, max(stored.handled_until, now())), _SHOWN))
    except times.NOT_UNDERSTOOD:
        return []
