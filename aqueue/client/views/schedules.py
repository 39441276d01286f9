"""Schedules as JSON."""

from collections.abc import Iterable
from typing import Any

from aqueue.client.due_times import in_words, upcoming
from aqueue.client.schedules import ScheduleState
from aqueue.client.views.times import iso
from aqueue.model.run import Run


def schedules_as_json(states: Iterable[ScheduleState]) -> list[dict[str, Any]]:
    """Return what `schedules --json` prints."""
    return [*map(_schedule, states)]


def _schedule(state: ScheduleState) -> dict[str, Any]:
    stored, schedule = state.stored, state.stored.schedule
    return {
        "name": stored.name,
        "file": stored.file,
        "schedule": schedule.expressions or None,
        "at": iso(schedule.at),
        "timezone": schedule.timezone,
        "in_words": in_words(schedule),
        "next": [iso(due) for due in upcoming(stored)],
        "last_run": state.last and _last(state.last),
        "catchup_window": schedule.catchup_window or None,
        "overlap": schedule.overlap,
        "queue": schedule.task.queue or schedule.name,
        "missed": stored.missed,
        "paused": stored.paused,
        "error": stored.error,
    }


def _last(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "run_id": run.run_id,
        "scheduled_for": iso(run.scheduled_for),
        "state": run.state,
        "reason": run.reason,
        "finished_at": iso(run.finished_at),
    }
