"""Reasons why a run gets no GPUs now, in words. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from aqueue.policy.gpu_leases import Lease

_MAX_NAMED: Final = 3


class Obstacle(msgspec.Struct, frozen=True):
    """A reason why one GPU is not given to a run.

    Attributes:
        explain: returns the reason in words, which claims do not need.
        is_ours: whether it goes away when runs of ours end.
        is_seen: whether a reading of the GPUs showed it.
    """

    explain: Callable[[], str]
    is_ours: bool = False
    is_seen: bool = True


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """The reasons why a run gets no GPUs.

    Attributes:
        obstacles: the reason for each GPU that is not free.
        lack: why there never are such GPUs; empty if there are.
        needs_look: whether a fresh reading may be all that is missing.
    """

    obstacles: Sequence[Obstacle] = ()
    lack: str = ""
    needs_look: bool = False

    @property
    def is_vetoed(self) -> bool:
        """Return True if a later reading may change that, without any run of ours coming to its end."""
        return bool(self.lack) or any(obstacle.is_seen for obstacle in self.obstacles)

    @property
    def reason(self) -> str:
        """Return in words why the run waits."""
        if self.needs_look:
            return "checking which GPUs are free"
        if self.lack:
            return self.lack
        # Those that a person can do something about come first.
        named = sorted(self.obstacles, key=lambda obstacle: obstacle.is_ours)
        more = f"; and {len(named) - _MAX_NAMED} more" if len(named) > _MAX_NAMED else ""
        return f"waits for GPUs: {'; '.join(one.explain() for one in named[:_MAX_NAMED])}{more}"


def use_in_words(leases: Sequence[Lease]) -> str:
    """Return who has these slots of one GPU, such as `is used by run 1 and reserved for run 2`."""
    running = [lease.run for lease in leases if not lease.set_aside]
    waiting = list(dict.fromkeys(lease.run for lease in leases if lease.set_aside))
    parts = [f"used by {_named(running)}"] if running else []
    parts += [f"reserved for {_named(waiting)}"] if waiting else []
    return f"is {' and '.join(parts)}"


def _named(runs: Sequence[int]) -> str:
    more = " …" if len(runs) > _MAX_NAMED else ""
    return f"run{'s' if len(runs) > 1 else ''} {', '.join(map(str, runs[:_MAX_NAMED]))}{more}"
