"""The ways an attempt can end."""

import signal
from enum import Enum, auto

import msgspec

from aqueue.model.run import Metric, Run


class End(Enum):
    """The ways in which an attempt can end."""

    EXITED = auto()
    """Its process is over, and the exit code is known."""
    STOPPED = auto()
    """A person stopped it: it is not tried again."""
    TIMED_OUT = auto()
    """It was stopped because it took longer than the task's timeout."""
    FAILED_TO_START = auto()
    """There never was a process, and trying once more would not help."""
    LOST = auto()
    """Its process is gone and nobody saw how it ended."""
    NEVER_STARTED = auto()
    """It was claimed, but nothing of it ever ran: the run is as good as before."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one attempt of a run.

    Attributes:
        exit_code: as a shell gives it, 128 + n for signal n; None when there is none.
        why: for the ends that need words: who stopped it, why it did not start.
        at: seconds since the epoch.
        metrics: what the attempt measured.
    """

    run: Run
    end: End
    at: float
    exit_code: int | None = None
    why: str = ""
    metrics: dict[str, Metric] = {}

    @property
    def signal(self) -> int | None:
        """Return the signal that ended the process, by its exit code; None if none did."""
        number = (self.exit_code or 0) - 128
        return number if number in _SIGNALS else None


_SIGNALS = {int(number) for number in signal.Signals}
