"""Servers, as the store knows them."""

from enum import StrEnum

import msgspec

from aqueue.model.gpu import GpuId


class Leaving(StrEnum):
    """The way in which a server is asked to leave."""

    WHEN_DONE = "when done"
    """It starts no more runs, and exits when its own have ended."""
    AT_ONCE = "at once"
    """It stops its runs, and exits."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A process that serves the folder.

    Attributes:
        id: names the file that it keeps locked while it lives.
        boot: the boot of the machine that it was started in.
        jobs: runs at the same time in queues that nobody configured, as it says itself.
        raised_to: how many of them somebody has asked for; it counts if there are more.
        heartbeat_at: its last sign of life.
        queues: the only queues it serves; None for all.
        log: the file of its messages; None if they go to its terminal.
        wanted_at: when somebody last asked for it to be up.
        stays_for: how many seconds without work it was then asked to stay, if it would leave earlier.
        disabled_by: what says that it may start nothing; None if nothing does.
        leaving: how it is to exit; None unless it has been asked to.
        owns: it has only GPUs that each of these lists means.
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
    def most_jobs(self) -> int:
        """Return how many runs may run at the same time in queues that nobody configured."""
        return max(self.jobs, self.raised_to)

    def serves(self, queue: str) -> bool:
        """Return True if it starts runs of this queue."""
        return self.leaving is None and (self.queues is None or queue in self.queues)
