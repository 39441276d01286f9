"""Schedules: their rows, and the changes by files and users.

An ended schedule keeps its row, so that no time is handled twice if it comes back.
"""

import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from aqueue.errors import ScheduleError
from aqueue.model.run import Run
from aqueue.model.schedule import Schedule, StoredSchedule
from aqueue.model.submission import Submission
from aqueue.policy.limits import Limits
from aqueue.store.due_times import DueTimes
from aqueue.store.rows import RUNS, as_json, fetch_run, fetch_schedules

_LAST_RUN: Final = (
    f"{RUNS} WHERE schedule = ? AND (started_at IS NOT NULL OR state <> 'aborted')"
    " ORDER BY scheduled_for DESC, id DESC LIMIT 1"
)
_APPLY: Final = (
    "INSERT INTO schedules (name, file, schedule, handled_until, counts_from)"
    " VALUES (:name, :file, :schedule, :now, :now)"
    " ON CONFLICT (name) DO UPDATE SET file = :file, schedule = :schedule, error = NULL,"
    " counts_from = iif(:is_new, max(counts_from, :now), counts_from)"
)
_IS_GOOD_AGAIN: Final = "UPDATE schedules SET error = NULL WHERE name = ? AND error IS NOT NULL"
_END: Final = (
    "UPDATE schedules SET file = NULL, next_due = NULL, missed_after = NULL, missed_at = NULL, missed = 0,"
    " paused = 0, error = NULL WHERE name = ?"
)
_IS_DUE: Final = (
    # A schedule that was just resumed is not due: its next due time is not computed yet.
    "next_due <= :now AND next_due > handled_until"
)
_PAUSE: Final = (
    "UPDATE schedules SET paused = 1, next_due = NULL, missed_after ="
    f" iif({_IS_DUE}, coalesce(missed_after, max(handled_until, counts_from)), missed_after),"
    f" missed_at = iif({_IS_DUE}, :now, missed_at) WHERE name = :name AND NOT paused"
)
_RESUME: Final = (
    # The next server cycle computes when it is really due.
    "UPDATE schedules SET paused = 0, handled_until = max(handled_until, :now),"
    " counts_from = max(counts_from, :now), next_due = :now WHERE name = :name AND paused"
)

_NAMED: Final = "name IN (SELECT value FROM json_each(?)) ORDER BY name"

_encoder = msgspec.json.Encoder()


class Changed(msgspec.Struct, frozen=True):
    """A schedule that was added, changed or ended.

    Attributes:
        schedule: its current version; None once it has ended.
        next_due: None if it is paused or never due again.
        is_paused: whether it is paused.
    """

    name: str
    schedule: Schedule | None = None
    next_due: float | None = None
    is_paused: bool = False


class Schedules:
    """The stored schedules.

    Args:
        transaction: a connection inside a transaction; a writing one for all changes.
        due_times: makes the due runs of a schedule before it changes.
    """

    def __init__(self, transaction: sqlite3.Connection, due_times: DueTimes) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._due_times = due_times

    def all(self, file: str | None = None) -> list[StoredSchedule]:
        """Return the active schedules: all, or those of one file."""
        if file is None:
            return fetch_schedules(self._transaction, "file IS NOT NULL ORDER BY name")
        return fetch_schedules(self._transaction, "file = ? ORDER BY name", (file,))

    def get(self, name: str) -> StoredSchedule | None:
        """Return the schedule with this name, even if it has ended; None if there is none."""
        return next(iter(fetch_schedules(self._transaction, "name = ?", (name,))), None)

    def last_run(self, schedule: str) -> Run | None:
        """Return the run of a schedule's latest due time, ignoring runs that ended without an attempt."""
        return fetch_run(self._transaction, _LAST_RUN, (schedule,))

    # Changes by files

    def apply_file(
        self,
        file: str,
        found: Sequence[Schedule],
        now: float,
        *,
        is_edit: bool,
        holds: Callable[[str, str], bool],
        limits: Limits,
    ) -> list[Changed]:
        """Apply the schedules of a file; those no longer in it end.

        Args:
            file: its path within the folder.
            is_edit: whether the file changed just now and counts from now on. Otherwise it may have changed while
                no server was up, and counts from the time that was handled last.
            holds: returns True if a file exists and has a schedule with that name.

        Raises:
            ScheduleError: another file has a schedule with one of these names; nothing changed.
        """
        names = {schedule.name for schedule in found}
        for schedule in found:
            for stored in self._of_same_names(schedule.submission):
                if stored.file not in (None, file) and holds(stored.file, stored.name):
                    raise ScheduleError(
                        f"there already is a schedule {stored.name}, in {stored.file}", "give it another name"
                    )
        # All of them before any ends: due runs of one may need runs of another.
        for schedule in found:
            before = self.get(schedule.name)
            if before is not None and not _is_as(before, file, schedule):
                self._due_times.flush(before, limits, now if is_edit else -math.inf)
        changed = [self._end(stored) for stored in self.all(file) if stored.name not in names]
        changes = (self._apply(file, schedule, now, is_edit=is_edit) for schedule in found)
        return changed + [change for change in changes if change is not None]

    def record_error(self, file: str, error: str) -> None:
        """Record the error of a file whose last good version stays in force."""
        self._execute("UPDATE schedules SET error = ? WHERE file = ?", (error, file))

    def _of_same_names(self, submission: Submission) -> list[StoredSchedule]:
        """Return the schedules whose name, or a run's name, is also that of a run of the submission."""
        found = fetch_schedules(self._transaction, _NAMED, (as_json(submission.names()),))
        base, _, number = submission.task.name.rpartition("-")
        sweeping = self.get(base) if number.isdecimal() else None
        if sweeping is not None and submission.task.name in sweeping.schedule.submission.names():
            found.append(sweeping)
        return found

    def _apply(self, file: str, schedule: Schedule, now: float, *, is_edit: bool) -> Changed | None:
        stored = self.get(schedule.name)
        if stored is not None and _is_as(stored, file, schedule):
            self._execute(_IS_GOOD_AGAIN, (stored.name,))
            return None
        self._execute(
            _APPLY,
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
        return Changed(schedule.name, schedule, self._due_times.move_on(schedule, handled_until), is_paused)

    def _end(self, stored: StoredSchedule) -> Changed:
        self._execute(_END, (stored.name,))
        return Changed(stored.name)

    # Changes by users

    def pause(self, name: str, now: float) -> None:
        """Pause a schedule: it makes no runs until it is resumed, not even for missed times.

        Raises:
            ScheduleError: there is no such schedule.
        """
        self._require(name)
        self._execute(_PAUSE, {"name": name, "now": now})

    def resume(self, name: str, now: float) -> bool:
        """Resume a schedule, from now on.

        Returns:
            True if it was paused.

        Raises:
            ScheduleError: there is no such schedule.
        """
        self._require(name)
        return bool(self._execute(_RESUME, {"name": name, "now": now}).rowcount)

    def forget(self, before: float) -> None:
        """Forget the ended schedules that were last handled before a time."""
        self._execute("DELETE FROM schedules WHERE file IS NULL AND handled_until < ?", (before,))

    def _require(self, name: str) -> None:
        stored = self.get(name)
        if stored is None or stored.file is None:
            raise ScheduleError(f"there is no schedule {name}", "`aqueue schedules` lists the schedules")


def _is_as(stored: StoredSchedule, file: str, schedule: Schedule) -> bool:
    """Return True if the stored schedule equals the one in the file and was not stopped by an error."""
    was_stopped = stored.error is not None and stored.next_due is None and not stored.paused
    return (stored.file, stored.schedule) == (file, schedule) and not was_stopped
