"""Schedules, as written in a task file and as stored. Pure."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from aqueue.model.submission import Submission
from aqueue.model.task import Code, Snapshot, Task


class Overlap(StrEnum):
    """The rule for a due time while earlier runs of the schedule are unfinished."""

    ALL = "all"
    """Queue its run anyway."""
    SKIP = "skip"
    """Skip it while the previous run is queued or running."""
    LATEST = "latest"
    """Replace waiting runs by its run."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule: the times at which a submission is due.

    Attributes:
        submission: the submission at each due time; its task has the name of the schedule.
        expressions: cron expressions of five fields; the schedule is due when any of them is.
        at: the only due time, in seconds since the epoch, if there are no expressions.
        timezone: the timezone of the expressions, such as `Europe/Berlin`.
        catchup_window: the age in seconds up to which missed times are made up for; 0: none.
    """

    submission: Submission
    timezone: str
    expressions: tuple[str, ...] = ()
    at: float | None = None
    catchup_window: float = 0.0
    overlap: Overlap = Overlap.ALL

    @property
    def task(self) -> Task:
        """Return the task of its submission."""
        return self.submission.task

    @property
    def name(self) -> str:
        """Return its name, which is also that of its runs."""
        return self.task.name

    @property
    def times(self) -> tuple[object, ...]:
        """Return the fields that decide when it is due and which missed times are made up for."""
        return self.expressions, self.at, self.timezone, self.catchup_window

    def submission_at(self, due: float, run_id: str) -> Submission:
        """Return the submission at a due time; the runs of a sweep get a group for that time.

        Without a seed, each time has different samples.

        Args:
            run_id: the run_id of the due time.
        """
        sweep, task = self.submission.sweep, self.task
        if sweep is None:
            return self.submission
        return msgspec.structs.replace(
            self.submission,
            task=msgspec.structs.replace(task, group=task.group or f"{task.name}-{run_id}"),
            sweep=sweep if sweep.seed is not None else msgspec.structs.replace(sweep, seed=int(due)),
        )


class DueTime(msgspec.Struct, frozen=True):
    """A due time of a schedule, that runs are made for.

    Attributes:
        schedule: the name of the schedule.
        at: in seconds since the epoch.
        direct: whether its runs may start while queues are disabled, without a slot.
    """

    schedule: str
    at: float
    direct: bool = False


class KeptCode(msgspec.Struct, frozen=True):
    """Code kept for a due time.

    Attributes:
        as_of: when it was requested.
        snapshot: the code; None if it could not be kept.
        why_not: why it could not be kept.
    """

    as_of: float
    snapshot: Snapshot | None = None
    why_not: str = ""


Kept = Mapping[Code, KeptCode]
"""The code kept for due times."""


class StoredSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as stored.

    Attributes:
        file: the path of its file within the folder; None once it has ended.
        handled_until: due times up to this one are made, missed or skipped.
        next_due: None if it is paused or never due again.
        missed_after: unhandled missed times are later than this; None if there are none.
        missed_at: when they were recorded as missed.
        missed: the number of due times that were missed for good.
        error: the error in the current file; `schedule` is then its last good version.
    """

    name: str
    file: str | None
    schedule: Schedule
    handled_until: float
    next_due: float | None
    missed_after: float | None
    missed_at: float | None
    missed: int
    paused: bool
    error: str | None
