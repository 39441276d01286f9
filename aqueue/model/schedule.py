"""Schedules, as written in a task file and as stored. Pure."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from aqueue.model.submission import Submission
from aqueue.model.task import Code, Snapshot, Task


class Overlap(StrEnum):
    """The rule for a due time while earlier runs of the schedule are not over."""

    ALL = "all"
    """Its run waits for its turn."""
    SKIP = "skip"
    """It is skipped while the previous run is queued or running."""
    LATEST = "latest"
    """Its run takes the place of those that wait."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule: the times at which a submission is due.

    Attributes:
        submission: what is submitted at each due time; its task and the schedule have one name.
        expressions: in cron's language, of five fields each; due is what any of them says.
        at: the only due time, in seconds since the epoch, where there are no expressions.
        timezone: in which the expressions are meant, such as `Europe/Berlin`.
        catchup_window: seconds that a missed time may lie back and still be made up for; 0: none is.
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
        """Return its name in the folder, which is that of its runs."""
        return self.task.name

    @property
    def times(self) -> tuple[object, ...]:
        """Return what is the same for two schedules that are due, and made up for, at the same times."""
        return self.expressions, self.at, self.timezone, self.catchup_window

    def submission_at(self, due: float, run_id: str) -> Submission:
        """Return what is submitted at a due time: the runs of a sweep have a group of that time.

        Without a seed, other samples are picked each time.

        Args:
            run_id: of the due time.
        """
        sweep, task = self.submission.sweep, self.task
        if sweep is None:
            return self.submission
        return msgspec.structs.replace(
            self.submission,
            task=msgspec.structs.replace(task, group=task.group or f"{task.name}-{run_id}"),
            sweep=sweep if sweep.seed is not None else msgspec.structs.replace(sweep, seed=int(due)),
        )


class KeptCode(msgspec.Struct, frozen=True):
    """Code that was kept for a due time.

    Attributes:
        as_of: when that was asked for.
        snapshot: the code; None if it could not be kept.
        why_not: why it could not.
    """

    as_of: float
    snapshot: Snapshot | None = None
    why_not: str = ""


Kept = Mapping[Code, KeptCode]
"""The code that was kept for due times."""


class StoredSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as the store has it.

    Attributes:
        file: where it is written, within the folder; None once it has ended.
        handled_until: what was due by then is made, missed or skipped.
        next_due: None while it is paused, and if it is never due again.
        missed_after: since when there are missed times that nobody has decided about; None if there are none.
        missed_at: when they were found to be missed.
        missed: how many due times were missed for good.
        error: what is wrong with the file as it is now; `schedule` is its last good version then.
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
