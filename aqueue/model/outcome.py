"""The ways an attempt can end."""

import signal
from enum import Enum, auto

import msgspec

from aqueue.model.run import Metric, Run, Usage


class End(Enum):
    """The ways an attempt can end."""

    EXITED = auto()
    """Its process ended, and the exit code is known."""
    STOPPED = auto()
    """A user stopped it: it is not retried."""
    TIMED_OUT = auto()
    """It was stopped because it exceeded the task's timeout."""
    FAILED_TO_START = auto()
    """No process could be started, and a retry would not help."""
    LOST = auto()
    """Its process is gone, and its exit code is unknown."""
    NEVER_STARTED = auto()
    """It was claimed, but nothing ran: the run is queued as before."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one attempt of a run.

    Attributes:
        exit_code: as in a shell, 128 + n for signal n; None if there is none.
        why: a detail of the end, such as who stopped it or why it did not start.
        at: seconds since the epoch.
        metrics: the metrics of the attempt.
        usage: the resources that it used.
    """

    run: Run
    end: End
    at: float
    exit_code: int | None = None
    why: str = ""
    metrics: dict[str, Metric] = {}
    usage: Usage = Usage()

    @property
    def signal(self) -> int | None:
        """Return the signal that ended the process, from its exit code; None if none did."""
        number = (self.exit_code or 0) - 128
        return number if number in _SIGNALS else None


_SIGNALS = {int(number) for number in signal.Signals}
