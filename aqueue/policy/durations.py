"""Usual durations of runs, from those that have succeeded. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

LAST: Final = 20
"""The number of successes of a kind that count: the last ones."""

_LEAST_OF_SAME: Final = 2
_LEAST_OF_QUEUE: Final = 5


class Success(NamedTuple):
    """A run that has succeeded, and the seconds that its last attempt took."""

    name: str
    group: str | None
    queue: str
    took: float


class Durations:
    """The durations of runs that have succeeded.

    Args:
        successes: the last first.
    """

    def __init__(self, successes: Iterable[Success]) -> None:
        self._took: dict[tuple[str, str], list[float]] = defaultdict(list)
        for one in successes:
            for kind in _kinds(one.name, one.group, one.queue):
                if len(self._took[kind]) < LAST:
                    self._took[kind].append(one.took)

    def usual(self, name: str, group: str | None, queue: str) -> float | None:
        """Return the median of the last runs of this name, else group, else queue; None if unknown.

        A few runs tell nothing: two are needed of the name or group, and five of the queue.
        """
        for kind in _kinds(name, group, queue):
            found = self._took.get(kind, [])
            if len(found) >= (_LEAST_OF_QUEUE if kind[0] == "queue" else _LEAST_OF_SAME):
                return _median(found)
        return None


def _median(values: list[float]) -> float:
    # Not from `statistics`, which takes a while to import.
    in_order, half = sorted(values), len(values) // 2
    return in_order[half] if len(values) % 2 else (in_order[half - 1] + in_order[half]) / 2


def _kinds(name: str, group: str | None, queue: str) -> list[tuple[str, str]]:
    kinds = [("name", name), ("group", group), ("queue", queue)]
    return [(kind, value) for kind, value in kinds if value is not None]
