"""GPUs, readings and allocators for tests of which GPUs a run is given."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuProcess, GpuReading, GpuRequest
from aqueue.policy.gpu_leases import Lease
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.gpu_placement import Allocator, Placed

NOW = 1_800_000_000.0
GIB = 1 << 30
NO_DRIVER = "the NVIDIA driver is not there"


def a_card(index: int = 0, gib: float | None = None, **changes: Any) -> Gpu:
    """A card of 24 GiB on which nothing is, with this much free."""
    free = None if gib is None else round(gib * GIB)
    plain: dict[str, Any] = {
        "key": f"GPU-{index}{index}{index}{index}",
        "index": index,
        "total": 24 * GIB,
        "free": 24 * GIB if free is None else free,
        "processes": (),
    }
    return Gpu(**plain | changes)


def a_process(pid: int = 77, gib: float | None = 4, **changes: Any) -> GpuProcess:
    return GpuProcess(pid=pid, memory=None if gib is None else round(gib * GIB), **changes)


def a_lease(card: Gpu, run: int = 90, gib: float | None = None, age: float = 3600.0, **changes: Any) -> Lease:
    """A slot that a run has had for an hour."""
    memory = None if gib is None else round(gib * GIB)
    lease = Lease(run=run, key=card.key, label=card.label, memory=memory, started_at=NOW - age)
    return msgspec.structs.replace(lease, **changes)


def a_board(
    *cards: Gpu,
    leases: Iterable[Lease] = (),
    freed_at: Mapping[str, float] | None = None,
    owns: Sequence[Sequence[GpuId]] = (),
    age: float = 0.0,
    took: float = 0.0,
    problem: str | None = None,
    **rules: Any,
) -> Allocator:
    is_without = problem == NO_DRIVER
    look = GpuReading(
        began_at=NOW - age - took, ended_at=NOW - age, gpus=cards, problem=problem, is_without_driver=is_without
    )
    return Allocator(look, leases, freed_at or {}, Rules(**rules), owns, NOW)


def cards(*indices: int) -> list[Gpu]:
    return [a_card(index) for index in indices]


def needs(count: int = 1, gib: float | None = None) -> GpuRequest:
    return GpuRequest(count, memory=None if gib is None else round(gib * GIB))


def needs_these(*ids: GpuId, gib: float | None = None) -> GpuRequest:
    return msgspec.structs.replace(needs(len(ids), gib), ids=ids)


def given(found: Placed | Blocked) -> list[str]:
    assert isinstance(found, Placed), found
    return [card.label for card in found.gpus]


def blocked(found: Placed | Blocked) -> Blocked:
    assert isinstance(found, Blocked), found
    return found


def reason(found: Placed | Blocked) -> str:
    return blocked(found).reason


def lack(found: Placed | Blocked) -> str:
    """Why there never are such cards; it is the reason, too, and what a later look may change."""
    assert reason(found) == blocked(found).lack
    assert blocked(found).is_vetoed
    assert not blocked(found).needs_reading
    return blocked(found).lack


def asks_for_a_look(found: Placed | Blocked) -> bool:
    """Nothing but a fresh look is needed."""
    if not blocked(found).needs_reading:
        return False
    assert reason(found) == "checking which GPUs are free"
    assert not (blocked(found).lack or blocked(found).is_vetoed)
    return True
