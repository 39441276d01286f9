"""Groups of GPUs close to each other, for runs that need several. Pure."""

from collections.abc import Sequence
from typing import Final

from aqueue.model.gpu import Gpu

_FARTHEST: Final = 1000
"""The distance assumed between two GPUs if the driver reports none."""


def nearest(gpus: Sequence[Gpu], count: int) -> list[Gpu]:
    """Return `count` GPUs close to each other; of equally close groups, the first."""
    return min((_grown_from(first, gpus, count) for first in gpus), key=_total_distance)


def _grown_from(first: Gpu, gpus: Sequence[Gpu], count: int) -> list[Gpu]:
    group = [first]
    while len(group) < count:
        left = [gpu for gpu in gpus if gpu not in group]
        group.append(min(left, key=lambda gpu: sum(_distance(gpu, other) for other in group)))
    return group


def _total_distance(group: Sequence[Gpu]) -> int:
    return sum(_distance(one, other) for one in group for other in group if one is not other)


def _distance(one: Gpu, other: Gpu) -> int:
    return one.distances.get(other.key, _FARTHEST)
