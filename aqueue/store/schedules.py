"""Schedules: the rows, what files say about them, and what people do to them.

A schedule that has ended keeps its row: were it to come back, no time would be handled twice.
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
_PUT: Final = (
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
    # One that was resumed just now is not due: nobody has found out yet when it will be.
    "next_due <= :now AND next_due > handled_until"
)
_PAUSE: Final = (
    "UPDATE schedules SET paused = 1, next_due = NULL, missed_after ="
    f" iif({_IS_DUE}, coalesce(missed_after, max(handled_until, counts_from)), missed_after),"
    f" missed_at = iif({_IS_DUE}, :now, missed_at) WHERE name = :name AND NOT paused"
)
_RESUME: Final = (
    # A server finds out when it is really due next.
    "UPDATE schedules SET paused = 0, handled_until = max(handled_until, :now),"
    " counts_from = max(counts_from, :now), next_due = :now WHERE name = :name AND paused"
)

_NAMED: Final = "name IN (SELECT value FROM json_each(?)) ORDER BY name"

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


class Schedules:
    """The schedules that are remembered.

    Args:
        transaction: a connection inside a transaction; one that may write, for all that changes something.
        due_times: settles what a schedule owes before it changes.
    """

    def __init__(self, transaction: sqlite3.Connection, due_times: DueTimes) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._due_times = due_times

    def all(self, file: str | None = None) -> list[StoredSchedule]:
        """Return the schedules that have not ended: all, or those of one file."""
        if file is None:
            return fetch_schedules(self._transaction, "file IS NOT NULL ORDER BY name")
        return fetch_schedules(self._transaction, "file = ? ORDER BY name", (file,))

    def get(self, name: str) -> StoredSchedule | None:
        """Return the schedule of that name, even if it has ended."""
        return next(iter(fetch_schedules(self._transaction, "name = ?", (name,))), None)

    def last_run(self, schedule: str) -> Run | None:
        """Return the run of a schedule's latest due time, those aside that were over before they began."""
        return fetch_run(self._transaction, _LAST_RUN, (schedule,))

    # Changes that files make

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
        """Bring the schedules of a file into force; those that it no longer has end.

        Args:
            file: its path within the folder.
            is_edit: whether it was changed just now: then what it says counts from now on. Otherwise it may have
                been changed at any time since a server was up, and counts from what was handled by then.
            holds: whether a file is there, and says something about a schedule of that name.

        Raises:
            ScheduleError: another file has a schedule of one of these names; nothing was changed.
        """
        names = {schedule.name for schedule in found}
        for schedule in found:
            for stored in self._of_same_names(schedule.submission):
                if stored.file not in (None, file) and holds(stored.file, stored.name):
                    raise ScheduleError(
                        f"there already is a schedule {stored.name}, in {stored.file}", "give it another name"
                    )
        # All of them before one of them ends: what one owes may need runs of another.
        for schedule in found:
            before = self.get(schedule.name)
            if before is not None and not _is_as(before, file, schedule):
                self._due_times.settle(before, limits, now if is_edit else -math.inf)
        changed = [self._end(stored) for stored in self.all(file) if stored.name not in names]
        changes = (self._put(file, schedule, now, is_edit=is_edit) for schedule in found)
        return changed + [change for change in changes if change is not None]

    def note_error(self, file: str, error: str) -> None:
        """Record the error in a file whose last good version stays in force."""
        self._execute("UPDATE schedules SET error = ? WHERE file = ?", (error, file))

    def _of_same_names(self, submission: Submission) -> list[StoredSchedule]:
        """Return the schedules that have a name, or have runs of a name, which runs of a submission would have."""
        found = fetch_schedules(self._transaction, _NAMED, (as_json(submission.names()),))
        base, _, number = submission.task.name.rpartition("-")
        sweeping = self.get(base) if number.isdecimal() else None
        if sweeping is not None and submission.task.name in sweeping.schedule.submission.names():
            found.append(sweeping)
        return found

    def _put(self, file: str, schedule: Schedule, now: float, *, is_edit: bool) -> Changed | None:
        stored = self.get(schedule.name)
        if stored is not None and _is_as(stored, file, schedule):
            self._execute(_IS_GOOD_AGAIN, (stored.name,))
            return None
        self._execute(
            _PUT,
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

    # Changes that people make

    def pause(self, name: str, now: float) -> None:
        """Stop making runs of a schedule until it is resumed; its missed times wait, too.

        Raises:
            ScheduleError: there is no such schedule.
        """
        self._require(name)
        self._execute(_PAUSE, {"name": name, "now": now})

    def resume(self, name: str, now: float) -> bool:
        """Resume a schedule, from now on.

        Returns:
            whether it was paused.

        Raises:
            ScheduleError: there is no such schedule.
        """
        self._require(name)
        return bool(self._execute(_RESUME, {"name": name, "now": now}).rowcount)

    def forget(self, before: float) -> None:
        """Forget the schedules that have ended, and were last looked after before that moment."""
        self._execute("DELETE FROM schedules WHERE file IS NULL AND handled_until < ?", (before,))

    def _require(self, name: str) -> None:
        stored = self.get(name)
        if stored is None or stored.file is None:
            raise ScheduleError(f"there is no schedule {name}", "`aqueue schedules` shows which there are")


def _is_as(stored: StoredSchedule, file: str, schedule: Schedule) -> bool:
    """Return True if a schedule is in force just as the file has it, and was not stopped."""
    was_stopped = stored.error is not None and stored.next_due is None and not stored.paused
    return (stored.file, stored.schedule) == (file, schedule) and not was_stopped
