"""Events that a server reports while it serves."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from aqueue.model.run import Run
from aqueue.model.schedule import Schedule


class RunAccepted(msgspec.Struct, frozen=True):
    """There is a new run, or there are those of a sweep.

    Attributes:
        id: of the first; the others of a sweep have those that follow.
        name: of the task.
        source: the path within the folder of the file that it was, or its due time.
        sweep: how many runs a sweep has; None if it is none.
    """

    id: int
    name: str
    queue: str
    source: str
    held: bool
    sweep: int | None = None


class RunStarted(msgspec.Struct, frozen=True):
    """An attempt of a run begins, or goes on under this server when `adopted`."""

    run: Run
    adopted: bool = False


class RunEnded(msgspec.Struct, frozen=True):
    """An attempt is over; `run` is as it is now, perhaps queued again.

    Attributes:
        seconds: how long the attempt took.
    """

    run: Run
    seconds: float


class RunAborted(msgspec.Struct, frozen=True):
    """A run will not start, because of what it comes after."""

    run: Run


class ScheduleChanged(msgspec.Struct, frozen=True):
    """A schedule came, changed or ended.

    Attributes:
        file: its path within the folder.
        schedule: as it is now; None once it has ended.
        next_due: in seconds since the epoch; None while it is paused, and if it is never due again.
        is_paused: whether it is paused.
    """

    name: str
    file: str
    schedule: Schedule | None = None
    next_due: float | None = None
    is_paused: bool = False


class FileRejected(msgspec.Struct, frozen=True):
    """A file was bad; `moved_to` says where it is now.

    Attributes:
        error, hint: the first mistake in it.
        more: lines about the others.
    """

    source: str
    error: str
    hint: str
    moved_to: str
    more: Sequence[str] = ()


class Notice(msgspec.Struct, frozen=True):
    """Something else that a person should know; `urgent` when it needs them."""

    text: str
    urgent: bool = False


class Detail(msgspec.Struct, frozen=True):
    """Something only the curious want to know."""

    text: str


Event = RunAccepted | RunStarted | RunEnded | RunAborted | ScheduleChanged | FileRejected | Notice | Detail


class Report(Protocol):
    """Takes events as they happen."""

    def __call__(self, *events: Event) -> None:
        """Take these, in this order; must return at once and not raise."""
