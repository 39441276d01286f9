"""Events that a server reports while it serves."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from aqueue.model.run import Run
from aqueue.model.schedule import Schedule


class RunAccepted(msgspec.Struct, frozen=True):
    """A new run, or the runs of a sweep.

    Attributes:
        id: the id of the first run; those of a sweep are consecutive.
        name: the name of the task.
        source: the path of its file within the folder, or its due time.
        sweep: the number of runs of a sweep; None if it is none.
    """

    id: int
    name: str
    queue: str
    source: str
    held: bool
    sweep: int | None = None


class RunStarted(msgspec.Struct, frozen=True):
    """The start of an attempt, or its continuation under this server if `adopted`."""

    run: Run
    adopted: bool = False


class RunEnded(msgspec.Struct, frozen=True):
    """The end of an attempt; `run` is its current state, perhaps queued again.

    Attributes:
        seconds: the duration of the attempt.
    """

    run: Run
    seconds: float


class RunAborted(msgspec.Struct, frozen=True):
    """The abortion of a run because of a prerequisite."""

    run: Run


class ScheduleChanged(msgspec.Struct, frozen=True):
    """The addition, change or end of a schedule.

    Attributes:
        file: the path of its file within the folder.
        schedule: its current version; None once it has ended.
        next_due: seconds since the epoch; None if it is paused or never due again.
        is_paused: whether it is paused.
    """

    name: str
    file: str
    schedule: Schedule | None = None
    next_due: float | None = None
    is_paused: bool = False


class FileRejected(msgspec.Struct, frozen=True):
    """The rejection of a file; `moved_to` is its new path.

    Attributes:
        error, hint: the first error in it.
        more: lines about the other errors.
    """

    source: str
    error: str
    hint: str
    moved_to: str
    more: Sequence[str] = ()


class Notice(msgspec.Struct, frozen=True):
    """Another message for the user; `urgent` if the user must act."""

    text: str
    urgent: bool = False


class Detail(msgspec.Struct, frozen=True):
    """A message for verbose output only."""

    text: str


Event = RunAccepted | RunStarted | RunEnded | RunAborted | ScheduleChanged | FileRejected | Notice | Detail


class Report(Protocol):
    """A receiver of events."""

    def __call__(self, *events: Event) -> None:
        """Handle events in this order; returns at once and never raises."""
