"""Choosing the GPUs of a run, or the reason why it waits for them. Pure.

The leases in the store say which GPUs our own runs have. A reading shows which GPUs the machine has, and excludes
those that another process uses, that lack memory, or that fail. A GPU missing from it never counts as free.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuReading, GpuRequest, resolved, within
from aqueue.policy.gpu_distances import nearest
from aqueue.policy.gpu_leases import Lease, Reservation
from aqueue.policy.gpu_obstacles import Blocked, Obstacle, use_in_words
from aqueue.policy.gpu_supply import known_gpus, lacks, large_enough, why_not_here
from aqueue.units import spell_size

FRESH_SECONDS: Final = 2.0
"""The age in seconds up to which a reading is good enough to allocate GPUs."""

_ALLOCATION_SECONDS: Final = 60.0
"""The time in seconds that a run may take to allocate the memory it requested."""


class Placed(msgspec.Struct, frozen=True):
    """The GPUs allocated to a run."""

    gpus: tuple[Gpu, ...]


class Allocator:
    """The GPUs of one server at one moment, and who has them; changes with each allocation.

    Args:
        reading: the latest; None before the first.
        leases: the slots in use by the runs of all servers.
        freed_at: when each GPU, by its key, was last freed.
        owns: lists of GPUs; the server may use only GPUs that are in every list.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        reading: GpuReading | None,
        leases: Iterable[Lease],
        freed_at: Mapping[str, float],
        rules: Rules,
        owns: Sequence[Sequence[GpuId]],
        now: float,
    ) -> None:
        self._reading = reading
        self._rules = rules
        self._freed_at = freed_at
        self._now = now
        self.all_gpus = known_gpus(reading, rules)
        self.gpus = self.all_gpus
        for ids in owns:
            self.gpus = within(self.gpus, ids)
        self._wanted: dict[int, Sequence[Gpu]] = {}
        self._leases: dict[str, list[Lease]] = defaultdict(list)
        for lease in leases:
            self._add(lease)

    @property
    def seen_at(self) -> float | None:
        """Return when the latest reading began; None if there is none."""
        return self._reading.began_at if self._reading is not None else None

    def place(self, run: int, request: GpuRequest, confined_to: Sequence[GpuId] | None = None) -> Placed | Blocked:
        """Allocate the GPUs a run requests, or reserve those of them that are free.

        Args:
            confined_to: the only GPUs that the run's queue may use; None: all.
        """
        if self._reading is None:
            return Blocked(needs_reading=True)
        if why := self.lack(request, confined_to):
            return Blocked(lack=why)
        usable = within(self.gpus, confined_to)
        eligible = resolved(usable, request.ids)[0] if request.ids else large_enough(usable, request)
        obstacles = [self._obstacle(gpu, request) for gpu in eligible]
        free = [gpu for gpu, obstacle in zip(eligible, obstacles, strict=True) if obstacle is None]
        if len(free) >= request.count:
            return self._give(run, request, free)
        found = {gpu.key: obstacle for gpu, obstacle in zip(eligible, obstacles, strict=True) if obstacle}
        coming = [gpu for gpu in eligible if gpu.key in found and found[gpu.key].is_ours]
        if len(free) + len(coming) >= request.count:
            self._reserve(run, request, free, coming)
        return Blocked(obstacles=tuple(found.values()))

    def add_reservation(self, slot: Reservation) -> None:
        """Withhold a slot that another server reserves for a run ahead of the runs still to be placed."""
        self._add(
            Lease(
                run=slot.run,
                key=slot.key,
                label=slot.label,
                memory=slot.memory,
                started_at=self._now,
                is_reserved=True,
            )
        )

    def reservations_for(self, run: int, priority: int, turn: float, request: GpuRequest) -> list[Reservation]:
        """Return the reservations for a run: a slot of each suitable GPU, since any may become free first."""
        return [
            Reservation(priority, turn, run, gpu.key, gpu.label, request.memory)
            for gpu in self._wanted.get(run, ())
        ]

    def leases_on(self, gpu: Gpu) -> list[Lease]:
        """Return the taken slots of a GPU."""
        return self._leases[gpu.key]

    def foreign_use(self, gpu: Gpu) -> str | None:
        """Describe what uses a GPU and is not one of our runs; None if nothing does."""
        ours = {lease.run for lease in self._leases[gpu.key]}
        for process in gpu.processes or ():
            if process.run not in ours:
                run = "" if process.run is None else f"run {process.run}"
                who = ", ".join(filter(None, (f"pid {process.pid}", process.user, run)))
                memory = "" if process.memory is None else f" with {spell_size(process.memory)}"
                return f"GPU {gpu.label} is used by {process.name or 'a process'} ({who}){memory}"
        if gpu.processes is None and gpu.doubts:
            return f"GPU {gpu.label} has {spell_size(gpu.used or 0)} in use that no run asked for"
        return None

    def is_unaccounted(self, gpu: Gpu) -> bool:
        """Return True if more memory of a GPU is in use than our runs requested and its processes are unknown."""
        taken = self._leases[gpu.key]
        if gpu.processes is not None or gpu.used is None or not self._is_current(gpu):
            return False
        asked = [lease.memory for lease in taken if lease.memory is not None]
        return len(asked) == len(taken) and gpu.used > self._rules.ignore_memory + sum(asked)

    def _add(self, lease: Lease) -> None:
        for gpu in self.all_gpus:
            if lease.is_on(gpu):
                self._leases[gpu.key].append(lease)

    def _is_current(self, gpu: Gpu) -> bool:
        """Return True if the reading is newer than the last time the GPU was freed."""
        freed_at = self._freed_at.get(gpu.key, 0.0)
        began_at = self._reading.began_at if self._reading else 0.0
        # A time in the future means that the clock was set back.
        return gpu.is_declared or freed_at <= began_at or freed_at > self._now

    def _obstacle(self, gpu: Gpu, request: GpuRequest) -> Obstacle | None:
        if gpu.error is not None:
            return Obstacle(lambda: f"GPU {gpu.label} {gpu.error}")
        taken = tuple(self._leases[gpu.key])
        if len(taken) >= self._rules.slots:
            return Obstacle(lambda: f"GPU {gpu.label} {use_in_words(taken)}", is_ours=True, is_seen=False)
        if not self._is_current(gpu):
            return None
        if not self._rules.share_with_others and (foreign := self.foreign_use(gpu)):
            return Obstacle(lambda: foreign)
        if request.memory is None:
            return None
        return self._shortage(gpu, taken, request.memory)

    def _shortage(self, gpu: Gpu, taken: Sequence[Lease], memory: int) -> Obstacle | None:
        left = self._left(gpu)
        if left is None:
            return Obstacle(lambda: f"GPU {gpu.label} does not report its free memory")
        if left >= memory:
            return None

        def explain() -> str:
            why = f"GPU {gpu.label} has {spell_size(max(left, 0))} free of the {spell_size(memory)} needed"
            return f"{why}, and {use_in_words(taken)}" if taken else why

        return Obstacle(explain, is_ours=bool(taken))

    def _left(self, gpu: Gpu) -> int | None:
        """Return the free bytes that no run is about to allocate; None if unknown."""
        if gpu.free is None:
            return None
        return gpu.free - sum(self._to_come(lease, gpu) for lease in self._leases[gpu.key])

    def _to_come(self, lease: Lease, gpu: Gpu) -> int:
        """Return the bytes a run on the GPU requested and may not have allocated yet."""
        if lease.memory is None or self._now - lease.started_at > _ALLOCATION_SECONDS:
            return 0
        has = sum(process.memory or 0 for process in gpu.processes or () if process.run == lease.run)
        return max(0, lease.memory - has)

    def _give(self, run: int, request: GpuRequest, free: Sequence[Gpu]) -> Placed | Blocked:
        chosen = self._choose(request, free)
        age = self._now - (self._reading.ended_at if self._reading else 0.0)
        if any(not gpu.is_declared for gpu in chosen) and (
            not -FRESH_SECONDS <= age <= FRESH_SECONDS or not all(map(self._is_current, chosen))
        ):
            # No later run may get them before there is a fresh reading.
            self._reserve(run, request, chosen)
            return Blocked(needs_reading=True)
        self._take(run, request, chosen)
        return Placed(tuple(chosen))

    def _reserve(self, run: int, request: GpuRequest, free: Sequence[Gpu], coming: Sequence[Gpu] = ()) -> None:
        """Reserve free GPUs for a waiting run.

        Args:
            coming: those it can use once our runs on them end.
        """
        self._wanted[run] = [*free, *coming]
        self._take(run, request, free, is_reserved=True)
        # If it waits for memory, no later run may take a slot that is left.
        for gpu in coming[: request.count - len(free)]:
            while len(self._leases[gpu.key]) < self._rules.slots:
                self._take(run, request, [gpu], is_reserved=True)

    def _take(self, run: int, request: GpuRequest, gpus: Iterable[Gpu], *, is_reserved: bool = False) -> None:
        for gpu in gpus:
            lease = Lease(
                run=run,
                key=gpu.key,
                label=gpu.label,
                memory=request.memory,
                started_at=self._now,
                is_reserved=is_reserved,
            )
            self._leases[gpu.key].append(lease)

    def _choose(self, request: GpuRequest, free: Sequence[Gpu]) -> list[Gpu]:
        """Return the best GPUs: close to each other, then by best fit of memory or longest idle time."""

        def preference(gpu: Gpu) -> tuple[float, ...]:
            if request.memory is not None and (left := self._left(gpu)) is not None:
                return (left, *_place(gpu))
            return (len(self._leases[gpu.key]), self._freed_at.get(gpu.key, 0.0), *_place(gpu))

        if len(free) == request.count:
            return list(free)
        ranked = sorted(free, key=preference)
        if request.count == 1:
            return ranked[:1]
        return sorted(nearest(ranked, request.count), key=_place)

    def lack(self, request: GpuRequest, confined_to: Sequence[GpuId] | None = None) -> str:
        """Return why no such GPUs exist here; empty if they do, or if there is no reading yet.

        Args:
            confined_to: the only GPUs that the run's queue may use; None: all.
        """
        if self._reading is None or not lacks(request, within(self.gpus, confined_to)):
            return ""
        return why_not_here(request, self._reading, self._rules, self.gpus, confined_to)


def with_doubts(reading: GpuReading, previous: GpuReading | None, allocator: Allocator) -> GpuReading:
    """Return the reading with `Gpu.doubts` counted: consecutive readings with unaccounted memory.

    Args:
        previous: the reading before; None if this is the first.
        allocator: made from this reading; nothing is allocated from it yet.
    """
    known = {gpu.key: gpu.doubts for gpu in previous.gpus} if previous is not None else {}
    gpus = [
        msgspec.structs.replace(gpu, doubts=known.get(gpu.key, 0) + 1 if allocator.is_unaccounted(gpu) else 0)
        for gpu in reading.gpus
    ]
    return msgspec.structs.replace(reading, gpus=tuple(gpus))


def _place(gpu: Gpu) -> tuple[int, int]:
    return gpu.index, gpu.instance or 0
