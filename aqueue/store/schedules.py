"""What happens to schedules: the statements that change them, and make the runs of what is due.

A schedule's row says until when its due times are handled, and when it is due next. Whoever comes first after
that, of several servers, makes the runs and moves the row on, in one transaction. What is over a minute late is
only noted then, and decided about by `catch_up`, a schedule at a time, so that nothing that is due waits for it.
A schedule that has ended keeps its row: were it to come back, no time would be handled twice.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from aqueue.errors import ScheduleError
from aqueue.model.run import Run, Trigger
from aqueue.model.schedule import Overlap, Schedule, StoredSchedule
from aqueue.model.task import Priority
from aqueue.policy import cron
from aqueue.policy.limits import Limits
from aqueue.store.lifecycle import Store

_AT_ONCE: Final = 200
"""How many schedules are looked after in one transaction."""

_CAUGHT_UP_AT_ONCE: Final = 400
"""How many runs are made in one transaction of what was missed, so that nothing that is due waits for long."""

_BACKWARDS: Final = 60.0
"""Seconds by which the clock must have been put back for what it shows once more to be looked at again."""

_encoder = msgspec.json.Encoder()


class Changed(msgspec.Struct, frozen=True):
    """A schedule that came, changed or ended.

    Attributes:
        schedule: as it is now; None once it has ended.
        next_due: None while it is paused, and if it is never due again.
        is_paused: whether it is paused.
    """

    name: str
    schedule: Schedule | None = None
    next_due: float | None = None
    is_paused: bool = False


class Decided(msgspec.Struct, frozen=True):
    """What became of due times that a schedule had missed.

    Attributes:
        caught_up: how many of them were given runs.
        left_out: how many of those in its window were too many.
        is_done: whether there is nothing left to decide about.
    """

    schedule: Schedule
    caught_up: int
    left_out: int
    is_done: bool


class Timetable(Store):
    """What aqueue remembers, together with what is to be done when.

    Args:
        connection: inside a transaction that may write.
    """

    # What files say

    def put(
        self,
        file: str,
        found: Sequence[Schedule],
        now: float,
        *,
        is_edit: bool,
        holds: Callable[[str, str], bool],
        limits: Limits,
    ) -> list[Changed]:
        """Have what a file says be in force, and nothing else of what it said before.

        Args:
            file: its path within the folder.
            is_edit: whether it was changed just now: then what it says counts from now on. Otherwise it may have
                been changed at any time since a server was up, and counts from what was handled by then.
            holds: whether a file is there, and says something about a schedule of that name.

        Raises:
            ScheduleError: another file has a schedule of one of these names; nothing was changed.
        """
        names = {schedule.name for schedule in found}
        for stored in filter(None, map(self.schedule, sorted(names))):
            if stored.file not in (None, file) and holds(stored.file, stored.name):
                raise ScheduleError(
                    f"there already is a schedule {stored.name}, in {stored.file}", "give it another name"
                )
        changed = [self._end(stored) for stored in self.schedules(file) if stored.name not in names]
        changes = (self._put(file, schedule, now, limits, is_edit=is_edit) for schedule in found)
        return changed + [change for change in changes if change is not None]

    def put_error(self, file: str, error: str) -> None:
        """Note what is wrong with a file whose last good version stays in force."""
        self._execute("UPDATE schedules SET error = ? WHERE file = ?", (error, file))

    # What is due

    def make_due(self, limits: Limits, now: float) -> list[Run]:
        """Make the runs of what is due now, and note what was missed."""
        made: list[Run] = []
        for stored in self._schedules("next_due <= ? ORDER BY next_due LIMIT ?", (now, _AT_ONCE)):
            with self._or_stop(stored):
                made += self._make_due(stored, limits, now)
        return made

    def catch_up(self, limits: Limits) -> Decided | None:
        """Decide about what one schedule has missed, and make the runs that make up for it; not all at once.

        Returns:
            None if none has missed anything.
        """
        waiting = self._schedules("missed_at IS NOT NULL AND paused = 0 ORDER BY missed_at LIMIT 1", ())
        return self._catch_up(waiting[0], limits) if waiting else None

    def follow_clock(self, now: float) -> None:
        """Look again at what the clock shows once more, because it was put back; no time gets a second run."""
        for stored in self._schedules("handled_until > ? AND file IS NOT NULL", (now + _BACKWARDS,)):
            with self._or_stop(stored):
                self._move_on(stored.schedule, now)

    def _put(self, file: str, schedule: Schedule, now: float, limits: Limits, *, is_edit: bool) -> Changed | None:
        stored = self.schedule(schedule.name)
        if stored is not None and (stored.file, stored.schedule) == (file, schedule):
            self._execute("UPDATE schedules SET error = NULL WHERE name = ? AND error IS NOT NULL", (stored.name,))
            was_stopped = stored.error is not None and stored.next_due is None and not stored.paused
            if not was_stopped:
                return None
        if stored is not None:
            self._settle(stored, limits, now if is_edit else -math.inf)
            stored = self.schedule(schedule.name)
        self._execute(
            "INSERT INTO schedules (name, file, schedule, handled_until, counts_from)"
            " VALUES (:name, :file, :schedule, :now, :now)"
            " ON CONFLICT (name) DO UPDATE SET file = :file, schedule = :schedule, error = NULL,"
            " counts_from = iif(:is_new, max(counts_from, :now), counts_from)",
            {
                "name": schedule.name,
                "file": file,
                "schedule": _encoder.encode(schedule).decode(),
                "now": now,
                "is_new": is_edit or stored is None or stored.file is None,
            },
        )
        if stored is None:
            handled_until = now
        elif stored.file is None or is_edit:
            handled_until = max(now, stored.handled_until)
        else:
            handled_until = stored.handled_until
        is_paused = stored is not None and stored.paused
        return Changed(schedule.name, schedule, self._move_on(schedule, handled_until), is_paused)

    def _end(self, stored: StoredSchedule) -> Changed:
        self._execute(
            "UPDATE schedules SET file = NULL, next_due = NULL, missed_after = NULL, missed_at = NULL, missed = 0,"
            " paused = 0, error = NULL WHERE name = ?",
            (stored.name,),
        )
        return Changed(stored.name)

    def _move_on(self, schedule: Schedule, handled_until: float) -> float | None:
        """Note until when a schedule's due times are handled, and return when it is due next."""
        (next_due,) = self._execute(
            "UPDATE schedules SET handled_until = ?, next_due = iif(paused, NULL, ?) WHERE name = ?"
            " RETURNING next_due",
            (handled_until, cron.next_due(schedule, handled_until), schedule.name),
        ).fetchone()
        return None if next_due is None else float(next_due)

    def _make_due(self, stored: StoredSchedule, limits: Limits, now: float) -> list[Run]:
        schedule = stored.schedule
        if stored.next_due is not None and now - stored.next_due > cron.LIVE_SECONDS:
            self._execute(
                "UPDATE schedules SET missed_at = ?,"
                " missed_after = coalesce(missed_after, max(handled_until, counts_from)) WHERE name = ?",
                (now, stored.name),
            )
        direct = limits.disabled_by is not None
        due = cron.live(schedule, stored.handled_until, now)
        made = [self._make(schedule, moment, Trigger.SCHEDULER, now, direct=direct) for moment in due]
        # The clock may have been put back by seconds: what was over is not due once more.
        self._move_on(schedule, max(now, stored.handled_until))
        return [run for id_ in made if id_ is not None and (run := self.get(id_))]

    def _settle(self, stored: StoredSchedule, limits: Limits, now: float) -> None:
        """Make what a schedule owes by now, and what it has missed, before another version takes its place."""
        with self._or_stop(stored):
            if stored.next_due is not None and stored.next_due <= now:
                self._make_due(stored, limits, now)
        while (left := self.schedule(stored.name)) and left.missed_at is not None and not left.paused:
            self._catch_up(left, limits)

    def _catch_up(self, stored: StoredSchedule, limits: Limits) -> Decided:
        with self._or_stop(stored):
            return self._decide(stored, stored.missed_after or 0.0, stored.missed_at or 0.0, limits)
        return Decided(stored.schedule, 0, 0, True)

    def _decide(self, stored: StoredSchedule, after: float, now: float, limits: Limits) -> Decided:
        schedule = stored.schedule
        considered = msgspec.structs.replace(schedule, catchup_window=0.0) if limits.disabled_by else schedule
        missed = cron.missed(considered, after, now)
        at_once = missed.caught_up[:_CAUGHT_UP_AT_ONCE]
        made = [self._make(schedule, due, Trigger.CATCHUP, now) for due in at_once]
        is_done = len(at_once) == len(missed.caught_up)
        self._execute(
            "UPDATE schedules SET missed_after = ?, missed_at = ?, missed = missed + ? WHERE name = ?",
            (None if is_done else at_once[-1], None if is_done else now, missed.forgotten, stored.name),
        )
        return Decided(schedule, sum(id_ is not None for id_ in made), missed.left_out, is_done)

    @contextmanager
    def _or_stop(self, stored: StoredSchedule) -> Iterator[None]:
        """If a schedule cannot be understood any more, perhaps because its timezone is gone, stop it alone."""
        try:
            yield
        except cron.NOT_UNDERSTOOD as error:
            self._execute(
                "UPDATE schedules SET next_due = NULL, missed_after = NULL, missed_at = NULL, error = ?"
                " WHERE name = ?",
                (f"it cannot be said when it is due: {error}; save it once more", stored.name),
            )

    def _make(
        self, schedule: Schedule, due: float, trigger: Trigger, now: float, *, direct: bool = False
    ) -> int | None:
        """Make the run of a due time, as the schedule's overlap has it; None if it has been made before."""
        name, run_id, task = schedule.name, cron.run_id(due), schedule.task
        if self._execute("SELECT 1 FROM runs WHERE name = ? AND run_id = ?", (name, run_id)).fetchone():
            return None
        if trigger is Trigger.CATCHUP:
            task = msgspec.structs.replace(task, priority=Priority.CATCHUP)
        before = self.overlapping(name, trigger) if schedule.overlap is Overlap.SKIP else None
        id_ = self.add(task, now, trigger=trigger, run_id=run_id, scheduled_for=due, direct=direct)
        if before is not None and id_ is not None and (run := self.get(id_)):
            self.cancel(run, f"skipped: run {before[0]} is {before[1]}", now)
        if schedule.overlap is Overlap.LATEST:
            superseded = self._execute(
                "SELECT id FROM runs INDEXED BY runs_overlapping WHERE name = ? AND trigger = ?"
                " AND scheduled_for IS NOT NULL AND state IN ('queued', 'running') AND state <> 'running'"
                " AND id <> ?",
                (name, trigger, id_),
            ).fetchall()
            for (other,) in superseded:
                if run := self.get(other):
                    self.cancel(run, f"superseded by run {id_}", now)
        return id_
