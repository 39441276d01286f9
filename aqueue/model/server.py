"""Servers, as stored."""

from enum import StrEnum

import msgspec

from aqueue.model.gpu import GpuId


class Leaving(StrEnum):
    """The way a server is asked to leave."""

    WHEN_DONE = "when done"
    """Start no more runs, and exit after those running have ended."""
    AT_ONCE = "at once"
    """Stop all runs, and exit."""


class OnStop(StrEnum):
    """The way a server obeys SIGTERM."""

    DRAIN = "drain"
    """Start no more runs, and exit after those running have ended."""
    LEAVE = "leave"
    """Exit, and let the runs go on until the next server takes them over."""
    KILL = "kill"
    """Stop all runs, and exit."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A process that serves the folder.

    Attributes:
        id: the name of the file that it keeps locked while it is up.
        boot: the boot of the machine in which it started.
        jobs: its own maximum number of runs at a time in unconfigured queues.
        raised_to: the maximum requested since; the larger of the two applies.
        heartbeat_at: the time of its last heartbeat.
        queues: the only queues it serves; None: all.
        log: the file of its messages; None if they go to its terminal.
        wanted_at: when `aqueue start` last asked it to stay.
        stays_for: the idle timeout in seconds requested then; the longer of the two applies.
        disabled_by: the setting that disables its queues; None if none does.
        leaving: how it is asked to leave; None if it is not.
        owns: lists of GPUs; it may use only GPUs that are in every list.
    """

    id: str
    pid: int
    boot: str
    jobs: int
    started_at: float
    heartbeat_at: float
    queues: tuple[str, ...] | None = None
    log: str | None = None
    wanted_at: float = 0.0
    leaving: Leaving | None = None
    raised_to: int = 0
    stays_for: float = 0.0
    disabled_by: str | None = None
    owns: tuple[tuple[GpuId, ...], ...] = ()

    @property
    def max_jobs(self) -> int:
        """Return the maximum number of runs at a time in unconfigured queues."""
        return max(self.jobs, self.raised_to)

    def serves(self, queue: str) -> bool:
        """Return True if the server serves a queue."""
        return self.leaving is None and (self.queues is None or queue in self.queues)
