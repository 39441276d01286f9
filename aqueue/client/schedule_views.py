"""Schedules in words for people, and as JSON for scripts."""

from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Any

from aqueue.client import views
from aqueue.client.session import now
from aqueue.model.run import Run
from aqueue.model.schedule import Schedule, StoredSchedule
from aqueue.policy import cron as times
from aqueue.policy import cron_syntax
from aqueue.store.store import Store

_SHOWN = 3


def all_as_json(store: Store) -> list[dict[str, Any]]:
    """Return all schedules as `schedules --json` and `status --json` have them."""
    return [_as_json(stored, store.schedules.last_run(stored.name)) for stored in store.schedules.all()]


def in_words(schedule: Schedule) -> str:
    """Return when a schedule is due."""
    if schedule.at is not None:
        return f"Once, {at_home(schedule, schedule.at)}"
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


def _as_json(stored: StoredSchedule, last: Run | None) -> dict[str, Any]:
    schedule = stored.schedule
    return {
        "name": stored.name,
        "file": stored.file,
        "schedule": schedule.expressions or None,
        "at": views.iso(schedule.at),
        "timezone": schedule.timezone,
        "in_words": in_words(schedule),
        "next": [views.iso(due) for due in upcoming(stored)],
        "last_run": last
        and {
            "id": last.id,
            "run_id": last.run_id,
            "scheduled_for": views.iso(last.scheduled_for),
            "state": last.state,
            "reason": last.reason,
            "finished_at": views.iso(last.finished_at),
        },
        "catchup_window": schedule.catchup_window or None,
        "overlap": schedule.overlap,
        "queue": schedule.task.queue or schedule.name,
        "missed": stored.missed,
        "paused": stored.paused,
        "error": stored.error,
    }
