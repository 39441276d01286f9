"""The GPUs of a machine, and the reasons why they can never satisfy a request. Pure."""

from collections.abc import Sequence

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuReading, GpuRequest, resolved, within
from aqueue.units import counted, listed_gpus, plural, spell_size


def known_gpus(reading: GpuReading | None, rules: Rules) -> list[Gpu]:
    """Return the GPUs of this machine: those a reading shows or, without NVML, those declared."""
    found = list(reading.gpus) if reading is not None else []
    if rules.devices is None:
        return found
    if reading is None or not reading.is_without_driver:
        return within(found, rules.devices)
    return [Gpu(key=str(id_), index=id_, is_declared=True) for id_ in rules.devices if isinstance(id_, int)]


def lacks(request: GpuRequest, gpus: Sequence[Gpu]) -> str | None:
    """Return why these GPUs can never satisfy a request; None if they can."""
    if request.ids:
        gpus, missing = resolved(gpus, request.ids)
        if missing:
            return f"asks for {listed_gpus(map(str, missing))}, but there {plural(len(missing), 'is', 'are')} none"
    if len(gpus) < request.count:
        return f"asks for {described(request)}, but there {_are(len(gpus))}"
    if request.memory is not None and any(gpu.is_declared for gpu in gpus):
        return f"asks for {described(request)}, but the size of a GPU is unknown without NVML"
    large = large_enough(gpus, request)
    if len(large) >= request.count:
        return None
    if large:
        return (
            f"asks for {described(request)}, but only {len(large)} {'is' if len(large) == 1 else 'are'} that large"
        )
    return f"asks for {described(request)}, but the largest has {spell_size(max(gpu.total or 0 for gpu in gpus))}"


def never(request: GpuRequest, reading: GpuReading, rules: Rules) -> str | None:
    """Return why a request cannot be satisfied by the GPUs of this machine; None if it can."""
    gpus = known_gpus(reading, rules)
    if reading.problem is not None and not gpus:
        return f"waits for GPUs: {reading.problem}"
    return lacks(request, gpus)


def why_not_here(
    request: GpuRequest,
    reading: GpuReading,
    rules: Rules,
    own: Sequence[Gpu],
    confined_to: Sequence[GpuId] | None,
) -> str:
    """Return what prevents a request here: the machine, the run's queue or this server.

    Args:
        own: the GPUs of this server; those of them that the queue may use are not enough.
        confined_to: the only GPUs that the queue may use; None: all.
    """
    if why := never(request, reading, rules):
        return why
    of_queue = within(known_gpus(reading, rules), confined_to)
    if lacks(request, of_queue):
        return f"asks for {described(request)}, but its queue may use {_listed(of_queue)}"
    return f"waits for a server with {described(request)}; this one has {_listed(within(own, confined_to))}"


def large_enough(gpus: Sequence[Gpu], request: GpuRequest) -> list[Gpu]:
    """Return the GPUs with at least the requested memory, or of unknown size."""
    return [gpu for gpu in gpus if gpu.total is None or gpu.total >= (request.memory or 0)]


def described(request: GpuRequest) -> str:
    """Return a request in words."""
    memory = "" if request.memory is None else f" with {spell_size(request.memory)}"
    if request.ids:
        return f"{listed_gpus(map(str, request.ids))}{memory}"
    return f"{counted(request.count, 'GPU')}{memory}"


def _listed(gpus: Sequence[Gpu]) -> str:
    return f"only {listed_gpus(gpu.label for gpu in gpus)}" if gpus else "none"


def _are(count: int) -> str:
    return "is none" if count == 0 else "is only 1" if count == 1 else f"are only {count}"
