"""Schedules, and what has come of them."""

from typing import NamedTuple

from aqueue.model.run import Run
from aqueue.model.schedule import StoredSchedule
from aqueue.store.store import Store


class ScheduleState(NamedTuple):
    """A schedule, and the run of its latest due time; None if there is none."""

    stored: StoredSchedule
    last: Run | None


def all_schedules(store: Store) -> list[ScheduleState]:
    """Return all schedules in the order of their names."""
    return [ScheduleState(stored, store.schedules.last_run(stored.name)) for stored in store.schedules.all()]
