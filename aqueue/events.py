"""What a server tells about itself while it serves."""

from collections.abc import Callable

import msgspec

from aqueue.models import Run


class RunAccepted(msgspec.Struct, frozen=True):
    """A task file has become a run. `source` is the file's path within the folder."""

    id: int
    name: str
    queue: str
    source: str
    held: bool


class RunStarted(msgspec.Struct, frozen=True):
    """An attempt of a run begins, or goes on under this server when `adopted`."""

    run: Run
    adopted: bool = False


class RunEnded(msgspec.Struct, frozen=True):
    """An attempt is over; `run` is as it is now, perhaps queued again.

    Attributes:
        seconds: how long the attempt took.
        failed: whether the attempt did not succeed.
    """

    run: Run
    seconds: float
    failed: bool


class FileRejected(msgspec.Struct, frozen=True):
    """A file was bad; `moved_to` says where it is now, if it could be moved."""

    source: str
    error: str
    hint: str
    moved_to: str | None


class Notice(msgspec.Struct, frozen=True):
    """Something else that a person should know; `urgent` when it needs them."""

    text: str
    urgent: bool = False


class Detail(msgspec.Struct, frozen=True):
    """Something only the curious want to know."""

    text: str


Event = RunAccepted | RunStarted | RunEnded | FileRejected | Notice | Detail
Report = Callable[[Event], None]
"""Takes an event as it happens; must return at once and not raise."""
