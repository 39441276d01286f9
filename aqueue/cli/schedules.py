"""Schedules as people and scripts are shown them, and the verb that does so."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Any

import click

from aqueue.cli import tables
from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client import views
from aqueue.client.session import config_or_default, now, reading
from aqueue.client.untaken import Kind, untaken
from aqueue.folder.rejected import IN_FORCE
from aqueue.model.run import Run
from aqueue.model.schedule import Overlap, Schedule, StoredSchedule
from aqueue.policy import cron as times
from aqueue.policy import cron_syntax
from aqueue.store.store import Store
from aqueue.units import spell

_SHOWN = 3


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def schedules(directory: str | None, as_json: bool) -> None:
    """Show what is run when."""
    folder = find_folder(directory)
    with reading(folder) as store:
        if as_json:
            tables.print_json(all_as_json(store))
            return
        found = [(stored, store.schedules.last_run(stored.name)) for stored in store.schedules.all()]
        refused = [one for one in untaken(store, folder, config_or_default(folder)) if one.kind is Kind.REFUSED]
    for stored, last in found:
        say(f"  {in_words(stored.schedule)}", head=click.style(stored.name, bold=True))
        for label, text in _facts(stored, last):
            say(f"  {label:<8} {text}")
    told = {stored.file for stored, _ in found if stored.error is not None}
    for one in refused:
        if one.file not in told:
            say_warning(one.reason)
    if not found:
        say("there are no schedules; `schedule:` in a task file makes one")
    elif config_or_default(folder, say_warning).disabled_by:
        say("queues are disabled: what is due is run all the same, what was missed is not made up for")


def all_as_json(store: Store) -> list[dict[str, Any]]:
    """All schedules as `schedules --json` and `status --json` have them."""
    return [_as_json(stored, store.schedules.last_run(stored.name)) for stored in store.schedules.all()]


def in_words(schedule: Schedule) -> str:
    """When a schedule is due."""
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


def _facts(stored: StoredSchedule, last: Run | None) -> Iterator[tuple[str, str]]:
    schedule = stored.schedule
    if stored.paused:
        yield "next", f"paused; `aqueue resume --schedule {stored.name}` lets it go on"
    else:
        is_due = stored.next_due is not None and stored.next_due <= now()
        never = "once a server is up" if is_due else "never again"
        yield "next", ", ".join(at_home(schedule, due) for due in _upcoming(stored)) or never
    if last is not None:
        why = f": {last.reason}" if last.reason else ""
        took = tables.took(last, now())
        yield (
            "last",
            f"{tables.local(last.scheduled_for)}, run {last.id}, {last.state}{took and f' after {took}'}{why}",
        )
    window = f"window of {spell(schedule.catchup_window)}" if schedule.catchup_window else "no window"
    yield "catchup", f"{window}, {stored.missed} missed"
    if schedule.overlap is not Overlap.ALL:
        yield "overlap", str(schedule.overlap)
    yield "file", str(stored.file)
    if stored.error is not None:
        yield "error", "; ".join([*stored.error.splitlines(), IN_FORCE])


def _upcoming(stored: StoredSchedule) -> list[float]:
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
        "next": [views.iso(due) for due in _upcoming(stored)],
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
