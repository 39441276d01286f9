"""Choosing the GPUs of a run, or the reason why it waits for them. Pure.

What our own runs have is a matter of the store's leases. A look at the machine tells which GPUs there are, and
vetoes: another's process, too little memory, a failure. What a look does not tell never counts as free.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuReading, GpuRequest, resolved, within
from aqueue.policy.gpu_supply import _labels, _large, _within, described, known_gpus, lacks, never
from aqueue.units import spell_size

FRESH_SECONDS: Final = 2.0
"""The age of a look, in seconds, up to which GPUs are given away by it."""

_SETTLING_SECONDS: Final = 60.0
"""The time that a run counts with the memory it asked for, as it may not have allocated it yet."""

_MAX_NAMED: Final = 3

_FARTHEST: Final = 1000


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a GPU that a run has.

    Attributes:
        memory: bytes that it asked for.
        set_aside: whether the run only waits, and the slot is kept for it.
    """

    run: int
    key: str
    label: str
    memory: int | None
    started_at: float
    set_aside: bool = False

    def is_on(self, gpu: Gpu) -> bool:
        """Return True if this is a slot of that GPU, also where only one side knows its UUID."""
        return self.key == gpu.key or (self.label == gpu.label and (gpu.is_declared or self.key == self.label))


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """A slot of a GPU that a server keeps for a run that waits."""

    priority: int
    run: int
    key: str
    label: str
    memory: int | None


class Placed(msgspec.Struct, frozen=True):
    """The GPUs that a run gets."""

    gpus: tuple[Gpu, ...]


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """The reasons why a run gets no GPUs.

    Attributes:
        obstacles: what is in the way on each GPU that is not free.
        lack: why there never are such GPUs; empty if there are.
        needs_look: whether it may get some as soon as there is a fresh look.
    """

    obstacles: Sequence["_Obstacle"] = ()
    lack: str = ""
    needs_look: bool = False

    @property
    def is_vetoed(self) -> bool:
        """Return True if a later look may change that, without any run of ours coming to its end."""
        return bool(self.lack) or any(obstacle.is_seen for obstacle in self.obstacles)

    @property
    def reason(self) -> str:
        """Return in words why it waits."""
        if self.needs_look:
            return "its GPUs are being looked at"
        if self.lack:
            return self.lack
        # What somebody can do something about comes first.
        named = sorted(self.obstacles, key=lambda obstacle: obstacle.is_ours)
        more = f"; and {len(named) - _MAX_NAMED} more" if len(named) > _MAX_NAMED else ""
        return f"waits for GPUs: {'; '.join(one.explain() for one in named[:_MAX_NAMED])}{more}"


class _Obstacle(msgspec.Struct, frozen=True):
    """A reason why one GPU is not given to a run.

    Attributes:
        explain: says it in words; claims do not ask for them.
        is_ours: whether it goes away when runs of ours end.
        is_seen: whether it is something that a look has shown.
    """

    explain: Callable[[], str]
    is_ours: bool = False
    is_seen: bool = True


class Allocator:
    """The GPUs of one server at one moment, and who has them. It changes as GPUs are given away.

    Args:
        look: what was seen last; None if nobody has looked yet.
        leases: the slots that running runs have, of all servers.
        freed_at: when each GPU, by its key, was last given back.
        owns: the server has only GPUs that each of these lists means.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        look: GpuReading | None,
        leases: Iterable[Lease],
        freed_at: Mapping[str, float],
        rules: Rules,
        owns: Sequence[Sequence[GpuId]],
        now: float,
    ) -> None:
        self._look = look
        self._rules = rules
        self._freed_at = freed_at
        self._now = now
        self.all_gpus = known_gpus(look, rules)
        self.gpus = self.all_gpus
        for ids in owns:
            self.gpus = within(self.gpus, ids)
        self._wanted: dict[int, Sequence[Gpu]] = {}
        self._leases: dict[str, list[Lease]] = defaultdict(list)
        for lease in leases:
            self._add(lease)

    @property
    def seen_at(self) -> float | None:
        """Return when the GPUs were looked at; None if nobody has."""
        return self._look.began_at if self._look is not None else None

    def place(self, run: int, demand: GpuRequest, confined_to: Sequence[GpuId] | None = None) -> Placed | Blocked:
        """Give a run the GPUs it asks for, or set aside for it those of them that are free.

        Args:
            confined_to: the only GPUs that its queue may use; None: all.
        """
        if self._look is None:
            return Blocked(needs_look=True)
        allowed = _within(self.gpus, confined_to)
        if why := self.lack(demand, confined_to):
            return Blocked(lack=why)
        eligible = resolved(allowed, demand.ids)[0] if demand.ids else _large(allowed, demand)
        obstacles = [self._obstacle(gpu, demand) for gpu in eligible]
        free = [gpu for gpu, obstacle in zip(eligible, obstacles, strict=True) if obstacle is None]
        if len(free) >= demand.count:
            return self._give(run, demand, free)
        found = {gpu.key: obstacle for gpu, obstacle in zip(eligible, obstacles, strict=True) if obstacle}
        coming = [gpu for gpu in eligible if gpu.key in found and found[gpu.key].is_ours]
        if len(free) + len(coming) >= demand.count:
            self._wanted[run] = [*free, *coming]
            self._take(run, demand, free, set_aside=True)
            # Where it waits for memory, a slot that is left is not for those who came later.
            for gpu in coming[: demand.count - len(free)]:
                while len(self._leases[gpu.key]) < self._rules.slots:
                    self._take(run, demand, [gpu], set_aside=True)
        return Blocked(obstacles=tuple(found.values()))

    def keep(self, slot: Reservation) -> None:
        """Do not give away a slot that another server keeps for a run whose turn is before those to come."""
        self._add(
            Lease(
                run=slot.run,
                key=slot.key,
                label=slot.label,
                memory=slot.memory,
                started_at=self._now,
                set_aside=True,
            )
        )

    def set_aside_for(self, run: int, priority: int, demand: GpuRequest) -> list[Reservation]:
        """Return what is kept for a run: whichever of its GPUs falls free first, so a slot of each."""
        return [Reservation(priority, run, gpu.key, gpu.label, demand.memory) for gpu in self._wanted.get(run, ())]

    def leases_on(self, gpu: Gpu) -> list[Lease]:
        """Return the slots of a GPU that are taken."""
        return self._leases[gpu.key]

    def foreign(self, gpu: Gpu) -> str | None:
        """Return what there is on a GPU that is not ours, in words; None if nothing is."""
        ours = {lease.run for lease in self._leases[gpu.key]}
        for process in gpu.processes or ():
            if process.run not in ours:
                who = ", ".join(filter(None, (f"pid {process.pid}", process.user)))
                memory = "" if process.memory is None else f" with {spell_size(process.memory)}"
                whose = "" if process.run is None else f", of run {process.run},"
                return f"{process.name or 'a process'} ({who}){whose} is on GPU {gpu.label}{memory}"
        if gpu.processes is None and gpu.doubts:
            used = spell_size(gpu.used or 0)
            return f"on GPU {gpu.label} {used} are in use, and no run of ours accounts for that"
        return None

    def is_unaccounted(self, gpu: Gpu) -> bool:
        """Return True if processes that cannot be seen use more memory of a GPU than our runs asked for."""
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
        """Return True if the GPU was looked at since it was last given back."""
        freed_at = self._freed_at.get(gpu.key, 0.0)
        began_at = self._look.began_at if self._look else 0.0
        # A moment in the future says only that the clock was put back.
        return gpu.is_declared or freed_at <= began_at or freed_at > self._now

    def _obstacle(self, gpu: Gpu, demand: GpuRequest) -> _Obstacle | None:
        if gpu.error is not None:
            return _Obstacle(lambda: f"GPU {gpu.label} {gpu.error}")
        taken = tuple(self._leases[gpu.key])
        if len(taken) >= self._rules.slots:
            return _Obstacle(lambda: f"GPU {gpu.label} {_said(taken)}", is_ours=True, is_seen=False)
        if not self._is_current(gpu):
            return None
        if not self._rules.share_with_others and (foreign := self.foreign(gpu)):
            return _Obstacle(lambda: foreign)
        if demand.memory is None:
            return None
        return self._shortage(gpu, taken, demand.memory)

    def _shortage(self, gpu: Gpu, taken: Sequence[Lease], memory: int) -> _Obstacle | None:
        left = self._left(gpu)
        if left is None:
            return _Obstacle(lambda: f"how much memory is free on GPU {gpu.label} is not known")
        if left >= memory:
            return None

        def explain() -> str:
            why = f"GPU {gpu.label} has {spell_size(max(left, 0))} free of the {spell_size(memory)} it asks for"
            return f"{why}, and {_said(taken)}" if taken else why

        return _Obstacle(explain, is_ours=bool(taken))

    def _left(self, gpu: Gpu) -> int | None:
        """Bytes that are free on a GPU and not about to be taken; None if that is not known."""
        if gpu.free is None:
            return None
        return gpu.free - sum(self._to_come(lease, gpu) for lease in self._leases[gpu.key])

    def _to_come(self, lease: Lease, gpu: Gpu) -> int:
        """Bytes that a run on the GPU has asked for and may not have allocated yet."""
        if lease.memory is None or self._now - lease.started_at > _SETTLING_SECONDS:
            return 0
        has = sum(process.memory or 0 for process in gpu.processes or () if process.run == lease.run)
        return max(0, lease.memory - has)

    def _give(self, run: int, demand: GpuRequest, free: Sequence[Gpu]) -> Placed | Blocked:
        chosen = self._choose(demand, free)
        age = self._now - (self._look.ended_at if self._look else 0.0)
        if any(not gpu.is_declared for gpu in chosen) and (
            not -FRESH_SECONDS <= age <= FRESH_SECONDS or not all(map(self._is_current, chosen))
        ):
            # Until it has been looked, nobody who came later may have them.
            self._wanted[run] = chosen
            self._take(run, demand, chosen, set_aside=True)
            return Blocked(needs_look=True)
        self._take(run, demand, chosen)
        return Placed(tuple(chosen))

    def _take(self, run: int, demand: GpuRequest, gpus: Iterable[Gpu], *, set_aside: bool = False) -> None:
        for gpu in gpus:
            lease = Lease(
                run=run,
                key=gpu.key,
                label=gpu.label,
                memory=demand.memory,
                started_at=self._now,
                set_aside=set_aside,
            )
            self._leases[gpu.key].append(lease)

    def _choose(self, demand: GpuRequest, free: Sequence[Gpu]) -> list[Gpu]:
        """Return the best of the GPUs: near each other, then those whose size or idle time fits best."""

        def preference(gpu: Gpu) -> tuple[float, ...]:
            if demand.memory is not None and (left := self._left(gpu)) is not None:
                return (left, *_place(gpu))
            return (len(self._leases[gpu.key]), self._freed_at.get(gpu.key, 0.0), *_place(gpu))

        if len(free) == demand.count:
            return list(free)
        ranked = sorted(free, key=preference)
        if demand.count == 1:
            return ranked[:1]
        chosen = min((_neighbours(first, ranked, demand.count) for first in ranked), key=_spread)
        return sorted(chosen, key=_place)

    def lack(self, demand: GpuRequest, confined_to: Sequence[GpuId] | None = None) -> str:
        """Say why there never are such GPUs here; empty if there are, whoever has them now, or nobody has looked.

        Args:
            confined_to: the only GPUs that its queue may use; None: all.
        """
        if self._look is None or not lacks(demand, _within(self.gpus, confined_to)):
            return ""
        return self._explain_lack(demand, confined_to)

    def _explain_lack(self, demand: GpuRequest, confined_to: Sequence[GpuId] | None) -> str:
        if self._look is not None and (why := never(demand, self._look, self._rules)):
            return why
        allowed = _within(self.all_gpus, confined_to)
        if lacks(demand, allowed):
            return f"asks for {described(demand)}, but its queue may use only {_labels(allowed)}"
        here = _within(self.gpus, confined_to)
        what = f"only {_labels(here)}" if here else "none for it"
        return f"waits for a server that has {described(demand)}; this one has {what}"


def with_doubts(look: GpuReading, before: GpuReading | None, board: Allocator) -> GpuReading:
    """Return the look with a note at each GPU on which memory is in use that nobody accounts for.

    Args:
        before: the last one; None if this is the first.
        board: made of this look; nothing has been given away on it yet.
    """
    known = {gpu.key: gpu.doubts for gpu in before.gpus} if before is not None else {}
    gpus = [
        msgspec.structs.replace(gpu, doubts=known.get(gpu.key, 0) + 1 if board.is_unaccounted(gpu) else 0)
        for gpu in look.gpus
    ]
    return msgspec.structs.replace(look, gpus=tuple(gpus))


def _place(gpu: Gpu) -> tuple[int, int]:
    return gpu.index, gpu.instance or 0


def _neighbours(first: Gpu, gpus: Sequence[Gpu], count: int) -> list[Gpu]:
    group = [first]
    while len(group) < count:
        left = [gpu for gpu in gpus if gpu not in group]
        group.append(min(left, key=lambda gpu: sum(_distance(gpu, other) for other in group)))
    return group


def _spread(group: Sequence[Gpu]) -> int:
    return sum(_distance(one, other) for one in group for other in group if one is not other)


def _distance(one: Gpu, other: Gpu) -> int:
    return one.distances.get(other.key, _FARTHEST)


def _said(leases: Sequence[Lease]) -> str:
    runs = [lease.run for lease in leases if not lease.set_aside]
    waiting = dict.fromkeys(lease.run for lease in leases if lease.set_aside)
    parts = [f"has {_named(runs)} on it"] if runs else []
    parts += [f"is set aside for {_named(list(waiting))}"] if waiting else []
    return " and ".join(parts)


def _named(runs: Sequence[int]) -> str:
    more = " …" if len(runs) > _MAX_NAMED else ""
    return f"run{'s' if len(runs) > 1 else ''} {', '.join(map(str, runs[:_MAX_NAMED]))}{more}"
