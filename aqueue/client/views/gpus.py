"""GPUs as JSON."""

from typing import Any

from aqueue.client.gpus import GpusOfMachine, GpuUse
from aqueue.client.views.times import iso
from aqueue.model.gpu import GpuProcess


def gpus_as_json(machine: GpusOfMachine) -> dict[str, Any]:
    """Return what `gpus --json` prints."""
    return {"problem": machine.problem, "gpus": [*map(gpu_as_json, machine.gpus)]}


def gpu_as_json(use: GpuUse) -> dict[str, Any]:
    """Return a GPU as `gpus --json` and `status --json` have it. Memory is in bytes."""
    gpu = use.gpu
    return {
        "index": gpu.index,
        "instance": gpu.instance,
        "uuid": None if gpu.is_declared else gpu.key,
        "name": gpu.name or None,
        "memory_total": gpu.total,
        "memory_free": gpu.free,
        "state": use.state,
        "seen_at": iso(use.seen_at),
        "why": use.why,
        "slots": use.slots,
        "runs": use.runs,
        "processes": None if gpu.processes is None else [*map(_process, gpu.processes)],
        "waiting": use.waiting,
    }


def _process(process: GpuProcess) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "memory": process.memory,
        "user": process.user or None,
        "name": process.name or None,
        "run": process.run,
    }
