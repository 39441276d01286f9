"""GPUs as JSON for scripts: as they are now, or as a server saw them last."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aqueue.client import views
from aqueue.client.session import Warn, config_or_default, now, reading
from aqueue.client.wait_reasons import limits_of, waits
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.gpu import Gpu, GpuRequest, resolved, within
from aqueue.model.run import Run
from aqueue.policy.gpu_placement import Allocator, with_doubts
from aqueue.policy.gpu_supply import lacks
from aqueue.store.store import Store

_MAX_WAITING = 3

_Waiting = tuple[int, str, GpuRequest]


class Seen(NamedTuple):
    """The GPUs of this machine as they are now.

    Attributes:
        problem: why they cannot be seen; None if they can.
        gpus: as `gpus --json` has them.
        waiting: the first runs that wait for some, and why; None: it is next.
        more_waiting: how many others do.
    """

    problem: str | None
    gpus: list[dict[str, Any]]
    waiting: list[tuple[Run, str | None]]
    more_waiting: int

    def as_json(self) -> dict[str, Any]:
        """Return what `gpus --json` prints."""
        return {"problem": self.problem, "gpus": self.gpus}


def read_gpus(folder: Folder, warn: Warn) -> Seen:
    """Look at the GPUs of this machine.

    Args:
        warn: is told of an error in the configuration.
    """
    # Imported here: only this asks the driver.
    from aqueue.gpus.probe import Gpus

    looking = Gpus(folder)
    try:
        reading_now = looking.read_blocking()
    finally:
        looking.close()
    config = config_or_default(folder, warn)
    with reading(folder) as store:
        board = store.gpus.allocator(reading_now, limits_of(config), now())
        board = store.gpus.allocator(with_doubts(reading_now, None, board), limits_of(config), now())
        waiting = store.gpus.waiting()
        first = [run for id_, _, _ in waiting[:_MAX_WAITING] if (run := store.runs.get(id_))]
        why = waits(store, folder, first, warn)
    gpus = [gpu_as_json(gpu, board, waiting, config) for gpu in board.all_gpus]
    return Seen(reading_now.problem, gpus, [*zip(first, why, strict=True)], max(len(waiting) - _MAX_WAITING, 0))


def stored_gpus_as_json(store: Store, config: Config) -> tuple[list[dict[str, Any]], float]:
    """Return the GPUs as a server saw them last, and when that was; none if none has looked."""
    look = store.gpus.reading()
    board = store.gpus.allocator(look, limits_of(config), now())
    if look is None or not board.all_gpus:
        return [], 0.0
    waiting = store.gpus.waiting()
    return [gpu_as_json(gpu, board, waiting, config) for gpu in board.all_gpus], look.began_at


def gpu_as_json(gpu: Gpu, board: Allocator, waiting: Iterable[_Waiting], config: Config) -> dict[str, Any]:
    """Return a GPU as `gpus --json` and `status --json` have it. Memory is in bytes."""
    runs = [lease.run for lease in board.leases_on(gpu)]
    return {
        "index": gpu.index,
        "instance": gpu.instance,
        "uuid": None if gpu.is_declared else gpu.key,
        "name": gpu.name or None,
        "memory_total": gpu.total,
        "memory_free": gpu.free,
        "state": _state(gpu, board, runs, config),
        "seen_at": views.iso(board.seen_at),
        "why": gpu.error or board.foreign_use(gpu),
        "slots": config.gpus.slots,
        "runs": runs,
        "processes": None
        if gpu.processes is None
        else [
            {
                "pid": process.pid,
                "memory": process.memory,
                "user": process.user or None,
                "name": process.name or None,
                "run": process.run,
            }
            for process in gpu.processes
        ],
        "waiting": [
            id_ for id_, queue, gpu_request in waiting if _may_have(gpu, board, queue, gpu_request, config)
        ],
    }


def _state(gpu: Gpu, board: Allocator, runs: Sequence[int], config: Config) -> str:
    if gpu.error is not None:
        return "failed"
    if len(runs) >= config.gpus.slots:
        return "full"
    if board.foreign_use(gpu) and not config.gpus.share_with_others:
        return "foreign"
    return "shared" if runs else "free"


def _may_have(gpu: Gpu, board: Allocator, queue: str, gpu_request: GpuRequest, config: Config) -> bool:
    """Return True if a run of that queue could be given this GPU one day."""
    confinement = limits_of(config).confinement(queue)
    allowed = within(board.all_gpus, confinement)
    if lacks(gpu_request, allowed) is not None:
        return False
    wanted = resolved(allowed, gpu_request.ids)[0] if gpu_request.ids else allowed
    return gpu in wanted and (gpu.total is None or gpu.total >= (gpu_request.memory or 0))
