"""Due times: the statements that make the runs of due and missed times.

A schedule's row says until when its due times are handled, and when it is due next. The first server to notice
that it is due makes the runs and updates the row, in one transaction. A time more than a minute late is only
recorded as missed; `catch_up` handles missed times, one schedule at a time, so that due runs do not wait for it.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from aqueue.model.run import SKIPPED, Run, State, Trigger
from aqueue.model.schedule import DueTime, Overlap, Schedule, StoredSchedule
from aqueue.model.submission import Accepted
from aqueue.model.task import Priority, Task
from aqueue.policy.due_code import DueCode
from aqueue.policy.limits import Limits
from aqueue.store.lifecycle import Lifecycle
from aqueue.store.rows import as_json, fetch_schedules
from aqueue.store.runs import Runs
from aqueue.store.submissions import Submissions

_AT_ONCE: Final = 200
"""The number of schedules handled in one transaction."""

_CAUGHT_UP_AT_ONCE: Final = 400
"""The number of missed runs made in one transaction, so that due runs do not wait long."""

_BACKWARDS: Final = 60.0
"""The seconds by which the clock must be set back for due times to be computed again."""

_DUE: Final = "next_due <= ? ORDER BY next_due LIMIT ?"
_FIRST_MISSED: Final = "missed_at IS NOT NULL AND paused = 0 ORDER BY missed_at LIMIT 1"
_DUE_OR_MISSED: Final = (
    "file IN (SELECT value FROM json_each(?)) AND NOT paused AND (next_due <= ? OR missed_at IS NOT NULL)"
)
_AHEAD_OF_CLOCK: Final = "handled_until > ? AND file IS NOT NULL"
_OVERLAPPING: Final = (
    "FROM runs INDEXED BY runs_overlapping WHERE schedule = ? AND trigger = ? AND scheduled_for <> ?"
    " AND state IN ('queued', 'running')"
)
_OF_DUE_TIME: Final = (
    "SELECT id, name FROM runs INDEXED BY runs_scheduled WHERE schedule = ? AND scheduled_for = ? ORDER BY id"
)

_MOVE_ON: Final = (
    "UPDATE schedules SET handled_until = ?, next_due = iif(paused, NULL, ?) WHERE name = ? RETURNING next_due"
)
_MISS: Final = (
    "UPDATE schedules SET missed_at = ?,"
    " missed_after = coalesce(missed_after, max(handled_until, counts_from)) WHERE name = ?"
)
_DECIDE: Final = "UPDATE schedules SET missed_after = ?, missed_at = ?, missed = missed + ? WHERE name = ?"
_STOP: Final = (
    "UPDATE schedules SET next_due = NULL, missed_after = NULL, missed_at = NULL, error = ? WHERE name = ?"
)


class Made(msgspec.Struct, frozen=True):
    """The new runs of a due time.

    Attributes:
        accepted: the schedule's submission with its runs.
        first: the first of its runs.
    """

    accepted: Accepted
    first: Run


class Decided(msgspec.Struct, frozen=True):
    """The handling of missed times of a schedule.

    Attributes:
        caught_up: how many of them got runs.
        left_out: how many in its window exceed the maximum.
        is_done: whether all are handled.
    """

    schedule: Schedule
    caught_up: int
    left_out: int
    is_done: bool


class DueTimes:
    """The due times of schedules, and the runs that are made for them.

    `policy.cron` is imported where it is needed: the import is slow, and commands must feel instant.

    Args:
        transaction: a connection inside a transaction that may write.
    """

    def __init__(
        self, transaction: sqlite3.Connection, runs: Runs, submissions: Submissions, lifecycle: Lifecycle
    ) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._runs = runs
        self._submissions = submissions
        self._lifecycle = lifecycle
        self.code = DueCode({})
        """The code kept for due runs; runs whose code is missing are made later."""

    def make(self, limits: Limits, now: float) -> list[Made]:
        """Make the runs that are due now, and record missed times."""
        made: list[Made] = []
        for stored in fetch_schedules(self._transaction, _DUE, (now, _AT_ONCE)):
            with self._or_stop(stored):
                as_of = self._code_as_of(stored, stored.next_due or 0.0, now)
                if as_of is not None:
                    made += self._make_due(stored, limits, as_of)
        return made

    def catch_up(self, limits: Limits) -> Decided | None:
        """Handle missed times of one schedule, and make a limited number of their runs.

        Returns:
            None if no schedule has missed times whose code is kept.
        """
        for stored in fetch_schedules(self._transaction, _FIRST_MISSED):
            if self._code_as_of(stored, stored.missed_at or 0.0, 0.0) is not None:
                return self._catch_up(stored, limits)
        return None

    def due_tasks(self, files: Iterable[str], now: float) -> list[Task]:
        """Return the tasks of these files that are due by `now` or have missed times."""
        return [
            one.schedule.task for one in fetch_schedules(self._transaction, _DUE_OR_MISSED, (as_json(files), now))
        ]

    def follow_clock(self, now: float) -> None:
        """Compute due times again after the clock was set back; no due time gets a second run."""
        for stored in fetch_schedules(self._transaction, _AHEAD_OF_CLOCK, (now + _BACKWARDS,)):
            with self._or_stop(stored):
                self.move_on(stored.schedule, now)

    def flush(self, stored: StoredSchedule, limits: Limits, now: float) -> None:
        """Make all due and missed runs of a schedule, before another version replaces it."""
        with self._or_stop(stored):
            if stored.next_due is not None and stored.next_due <= now:
                self._make_due(stored, limits, now)
        while (left := self._stored(stored.name)) and left.missed_at is not None and not left.paused:
            self._catch_up(left, limits)

    def move_on(self, schedule: Schedule, handled_until: float) -> float | None:
        """Record until when a schedule is handled, and return when it is due next."""
        from aqueue.policy import cron

        (next_due,) = self._execute(
            _MOVE_ON, (handled_until, cron.next_due(schedule, handled_until), schedule.name)
        ).fetchone()
        return None if next_due is None else float(next_due)

    def _stored(self, name: str) -> StoredSchedule | None:
        return next(iter(fetch_schedules(self._transaction, "name = ?", (name,))), None)

    def _make_due(self, stored: StoredSchedule, limits: Limits, now: float) -> list[Made]:
        from aqueue.policy import cron

        schedule = stored.schedule
        if stored.next_due is not None and now - stored.next_due > cron.LIVE_SECONDS:
            self._execute(_MISS, (now, stored.name))
        direct = limits.disabled_by is not None
        due = cron.live(schedule, stored.handled_until, now)
        made = [made for at in due for made in self._make(stored, at, Trigger.SCHEDULER, now, direct=direct)]
        # If the clock was set back by seconds, no time is due twice.
        self.move_on(schedule, max(now, stored.handled_until))
        return made

    def _catch_up(self, stored: StoredSchedule, limits: Limits) -> Decided:
        with self._or_stop(stored):
            return self._decide(stored, stored.missed_after or 0.0, stored.missed_at or 0.0, limits)
        return Decided(stored.schedule, 0, 0, True)

    def _decide(self, stored: StoredSchedule, after: float, now: float, limits: Limits) -> Decided:
        from aqueue.policy import cron

        schedule = stored.schedule
        considered = msgspec.structs.replace(schedule, catchup_window=0.0) if limits.disabled_by else schedule
        missed = cron.missed(considered, after, now)
        at_once = missed.caught_up[: max(1, _CAUGHT_UP_AT_ONCE // schedule.submission.size())]
        made = [due for due in at_once if self._make(stored, due, Trigger.CATCHUP, now)]
        is_done = len(at_once) == len(missed.caught_up)
        self._execute(
            _DECIDE, (None if is_done else at_once[-1], None if is_done else now, missed.forgotten, stored.name)
        )
        return Decided(schedule, len(made), missed.left_out, is_done)

    @contextmanager
    def _or_stop(self, stored: StoredSchedule) -> Iterator[None]:
        """Stop only this schedule if it cannot be evaluated, for example because its timezone is gone."""
        from aqueue.policy import cron

        try:
            yield
        except cron.NOT_UNDERSTOOD as error:
            self._execute(_STOP, (f"its due times cannot be computed: {error}; save its file again", stored.name))

    def _make(
        self, stored: StoredSchedule, due: float, trigger: Trigger, now: float, *, direct: bool = False
    ) -> list[Made]:
        """Make the runs of a due time and those they need, by the schedule's overlap rule.

        Returns:
            the new runs only.
        """
        from aqueue.policy import cron

        schedule, run_id = stored.schedule, cron.run_id(due)
        made, why_not = self._make_needed(stored, due, trigger, now, direct=direct)
        before = self._overlapping(schedule, trigger, due) if schedule.overlap is Overlap.SKIP else None
        request, why_no_code = self.code.attach_to(schedule.submission_at(due, run_id))
        if trigger is Trigger.CATCHUP:
            task = msgspec.structs.replace(request.task, priority=Priority.CATCHUP)
            request = msgspec.structs.replace(request, task=task)
        accepted = self._submissions.make_due(
            DueTime(schedule.name, due, direct),
            request,
            now,
            trigger=trigger,
            run_id=run_id,
            needed=self._needed(stored, due),
        )
        if accepted is None:
            return made
        if before is not None:
            why_not = f"{SKIPPED}run {before[0]} is {before[1]}"
        if why_not := why_not or why_no_code:
            self._cancel(accepted.run_ids, why_not, now)
        if schedule.overlap is Overlap.LATEST:
            superseded = self._execute(
                f"SELECT id {_OVERLAPPING} AND state <> 'running'", (schedule.name, trigger, due)
            ).fetchall()
            self._cancel([id_ for (id_,) in superseded], f"superseded by run {accepted.run_ids[0]}", now)
        first = self._runs.get(accepted.run_ids[0])
        return [*made, Made(accepted, first)] if first is not None else made

    def _make_needed(
        self, stored: StoredSchedule, due: float, trigger: Trigger, now: float, *, direct: bool
    ) -> tuple[list[Made], str]:
        """Make the runs that those of a due time need; return them, and why they are missing or an empty text."""
        made: list[Made] = []
        for other in self._needs(stored):
            if other.paused:
                return made, f"{SKIPPED}schedule {other.name}, which it needs, is paused"
            made += self._make(other, due, trigger, now, direct=direct)
        return made, ""

    def _code_as_of(self, stored: StoredSchedule, since: float, now: float) -> float | None:
        """Return the age of the code of a schedule and those it needs, as a time; None if some is missing.

        Args:
            since: the earliest time that is recent enough.
            now: the result if they need no code.
        """
        together, left = list[Task](), [stored]
        while left:
            one = left.pop()
            together.append(one.schedule.task)
            left += self._needs(one)
        return self.code.as_of(together, since, now)

    def _needs(self, stored: StoredSchedule) -> list[StoredSchedule]:
        """Return the schedules of the same file that a schedule needs."""
        needs = stored.schedule.submission.needs
        if not needs:
            return []
        beside = fetch_schedules(self._transaction, "file = ? ORDER BY name", (stored.file,))
        return [other for other in beside if not set(needs).isdisjoint(other.schedule.submission.names())]

    def _needed(self, stored: StoredSchedule, due: float) -> list[int]:
        """Return the ids of the runs of a due time that a schedule needs."""
        needs = stored.schedule.submission.needs
        return [
            id_
            for other in self._needs(stored)
            for id_, name in self._execute(_OF_DUE_TIME, (other.name, due)).fetchall()
            if name in needs or other.name in needs
        ]

    def _cancel(self, runs: Iterable[int], why: str, now: float) -> None:
        for id_ in runs:
            if run := self._runs.get(id_):
                self._lifecycle.cancel(run, why, now)

    def _overlapping(self, schedule: Schedule, trigger: Trigger, due: float) -> tuple[int, State] | None:
        """Return the latest queued or running run of another due time with the same trigger."""
        row = self._execute(
            f"SELECT id, state {_OVERLAPPING} ORDER BY id DESC LIMIT 1", (schedule.name, trigger, due)
        ).fetchone()
        return (row[0], State(row[1])) if row else None
