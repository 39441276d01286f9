"""GPUs that a run asks for and that this machine does not have, in words. Pure."""

from collections.abc import Sequence

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuReading, GpuRequest, resolved, within
from aqueue.units import counted, spell_size


def known_gpus(look: GpuReading | None, rules: Rules) -> list[Gpu]:
    """Return the GPUs there are: those that were found, or without NVML those that somebody declared."""
    found = list(look.gpus) if look is not None else []
    if rules.devices is None:
        return found
    if look is None or not look.is_without_driver:
        return within(found, rules.devices)
    return [Gpu(key=str(id_), index=id_, is_declared=True) for id_ in rules.devices if isinstance(id_, int)]


def lacks(demand: GpuRequest, gpus: Sequence[Gpu]) -> str | None:
    """Return why these GPUs can never be what is asked for; None if they can."""
    if demand.ids:
        gpus, missing = resolved(gpus, demand.ids)
        if missing:
            return f"asks for GPU {', '.join(map(str, missing))}, and there is none"
    if len(gpus) < demand.count:
        return f"asks for {described(demand)}, and there {_there(len(gpus))}"
    if demand.memory is not None and any(gpu.is_declared for gpu in gpus):
        return f"asks for {described(demand)}, and without NVML it is not known how much memory a GPU has"
    large = _large(gpus, demand)
    if len(large) >= demand.count:
        return None
    largest = spell_size(max(gpu.total or 0 for gpu in gpus))
    return f"asks for {described(demand)}, and {_are(len(large))} so large: the largest has {largest}"


def never(demand: GpuRequest, look: GpuReading, rules: Rules) -> str | None:
    """Return why a run that asks for this has to wait for other GPUs than there are; None if it does not."""
    gpus = known_gpus(look, rules)
    if look.problem is not None and not gpus:
        return f"waits for GPUs: {look.problem}"
    return lacks(demand, gpus)


def _within(gpus: Sequence[Gpu], ids: Sequence[GpuId] | None) -> Sequence[Gpu]:
    """Return those of the GPUs that are meant; all if no `ids` are given."""
    return gpus if ids is None else within(gpus, ids)


def _large(gpus: Sequence[Gpu], demand: GpuRequest) -> Sequence[Gpu]:
    """Return those of the GPUs that have as much memory as is asked for, as far as that is known."""
    return [gpu for gpu in gpus if gpu.total is None or gpu.total >= (demand.memory or 0)]


def described(demand: GpuRequest) -> str:
    """Return what is asked for."""
    memory = "" if demand.memory is None else f" with {spell_size(demand.memory)}"
    if demand.ids:
        return f"GPU {', '.join(map(str, demand.ids))}{memory}"
    return f"{counted(demand.count, 'GPU')}{memory}"


def _labels(gpus: Sequence[Gpu]) -> str:
    return ", ".join(gpu.label for gpu in gpus) or "none"


def _are(count: int) -> str:
    return "none is" if count == 0 else "1 is" if count == 1 else f"{count} are"


def _there(count: int) -> str:
    return "is none" if count == 0 else f"is {count}" if count == 1 else f"are {count}"
