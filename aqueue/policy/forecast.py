"""The probable starts and ends of runs, by list scheduling. Pure.

Each run in line is given, in its turn, the slot and the GPUs that are free first. A run of unknown duration never
ends here, so a start that is told is rather too late than too early; one that depends on such an end is not told.
"""

import math
from collections.abc import Mapping, Sequence
from heapq import heapreplace
from typing import NamedTuple

import msgspec


class GpuChoice(msgspec.Struct, frozen=True):
    """A number of GPUs, and the keys of those that they may be."""

    count: int
    among: tuple[str, ...]


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """A running run.

    Attributes:
        seconds: that it probably still takes; None if unknown.
        gpus: the keys of its GPUs.
    """

    id: int
    queue: str
    seconds: float | None
    gpus: tuple[str, ...] = ()


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run in line.

    Attributes:
        seconds: that it will probably take; None if unknown.
        gpus: None if it needs none.
    """

    id: int
    queue: str
    seconds: float | None
    gpus: GpuChoice | None = None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The room for runs.

    Attributes:
        queues: the slots of each configured queue; 0 where nothing is known about starts.
        jobs: the slots that all other queues share; each of them has one of its own, too.
        gpu_slots: the number of runs that may share a GPU.
    """

    queues: Mapping[str, int]
    jobs: int
    gpu_slots: int = 1


class Times(NamedTuple):
    """The seconds until a run starts, and until it ends; infinity if unknown."""

    start: float
    end: float


def forecast(going: Sequence[Going], waiting: Sequence[Waiting], room: Room) -> dict[int, Times]:
    """Return the probable times of runs that run, and of those in line whose start can be told.

    Args:
        waiting: in the order of their turns, without a gap.
    """
    slots = _Slots(room)
    found = {}
    for run in sorted(going, key=_end):
        end = _end(run)
        slots.occupy(run.queue, run.gpus, end)
        found[run.id] = Times(0.0, end)
    for one in waiting:
        gpus = slots.first_gpus(one.gpus)
        if gpus is None:
            continue
        start = max(slots.free_at(one.queue), slots.all_free_at(gpus))
        if math.isfinite(start):
            end = start + _end(one)
            slots.occupy(one.queue, gpus, end)
            found[one.id] = Times(start, end)
    return found


def _end(run: Going | Waiting) -> float:
    return math.inf if run.seconds is None else run.seconds


class _Slots:
    """The times at which slots of queues and GPUs become free; the first of each list is the least."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._jobs = [0.0] * room.jobs
        self._queues: dict[str, list[float]] = {name: [0.0] * slots for name, slots in room.queues.items()}
        self._gpus: dict[str, list[float]] = {}

    def free_at(self, queue: str) -> float:
        """Return when a slot for a run of this queue is free."""
        return max((slots[0] if slots else math.inf) for slots in self._slots_for(queue))

    def first_gpus(self, wanted: GpuChoice | None) -> tuple[str, ...] | None:
        """Return the keys of the GPUs that are free first; None if there are not so many."""
        if wanted is None:
            return ()
        chosen = sorted(wanted.among, key=lambda key: self._gpu(key)[0])[: wanted.count]
        return tuple(chosen) if len(chosen) == wanted.count else None

    def all_free_at(self, gpus: Sequence[str]) -> float:
        """Return when each of these GPUs has a free slot."""
        return max((self._gpu(key)[0] for key in gpus), default=0.0)

    def occupy(self, queue: str, gpus: Sequence[str], end: float) -> None:
        """Occupy the slots that are free first, up to a time."""
        for slots in (*self._slots_for(queue), *map(self._gpu, gpus)):
            # Where a limit was lowered, more runs than slots end one after the other.
            if slots and math.isfinite(slots[0]):
                heapreplace(slots, end)

    def _slots_for(self, queue: str) -> list[list[float]]:
        own = self._queues.setdefault(queue, [0.0])
        return [own] if queue in self._room.queues else [own, self._jobs]

    def _gpu(self, key: str) -> list[float]:
        return self._gpus.setdefault(key, [0.0] * self._room.gpu_slots)
