"""Reasons why a run gets no GPUs now, in words. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from aqueue.policy.gpu_leases import Lease

_MAX_NAMED: Final = 3


class Obstacle(msgspec.Struct, frozen=True):
    """A reason why one GPU is not allocated to a run.

    Attributes:
        explain: returns the reason in words; a function, because claims do not need the words.
        is_ours: whether the obstacle goes away when our own runs end.
        is_seen: whether the obstacle comes from a reading.
    """

    explain: Callable[[], str]
    is_ours: bool = False
    is_seen: bool = True


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """The reasons why a run gets no GPUs now.

    Attributes:
        obstacles: one for each GPU that is not free.
        lack: why no such GPUs exist; empty if they do.
        needs_reading: whether a fresh reading alone may let the run start.
    """

    obstacles: Sequence[Obstacle] = ()
    lack: str = ""
    needs_reading: bool = False

    @property
    def is_vetoed(self) -> bool:
        """Return True if a later reading may let the run start even if none of our runs ends."""
        return bool(self.lack) or any(obstacle.is_seen for obstacle in self.obstacles)

    @property
    def reason(self) -> str:
        """Return in words why the run waits."""
        if self.needs_reading:
            return "checking which GPUs are free"
        if self.lack:
            return self.lack
        # Obstacles a user can act on come first.
        named = sorted(self.obstacles, key=lambda obstacle: obstacle.is_ours)
        more = f"; and {len(named) - _MAX_NAMED} more" if len(named) > _MAX_NAMED else ""
        return f"waits for GPUs: {'; '.join(one.explain() for one in named[:_MAX_NAMED])}{more}"


def use_in_words(leases: Sequence[Lease]) -> str:
    """Return who has these slots of one GPU: `is used by run 1 and reserved for run 2`."""
    running = [lease.run for lease in leases if not lease.is_reserved]
    waiting = list(dict.fromkeys(lease.run for lease in leases if lease.is_reserved))
    parts = [f"used by {_named(running)}"] if running else []
    parts += [f"reserved for {_named(waiting)}"] if waiting else []
    return f"is {' and '.join(parts)}"


def _named(runs: Sequence[int]) -> str:
    more = " …" if len(runs) > _MAX_NAMED else ""
    return f"run{'s' if len(runs) > 1 else ''} {', '.join(map(str, runs[:_MAX_NAMED]))}{more}"
