"""GPUs, and who uses them or waits for them: as they are now, or as a server saw them last."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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


class GpuUse(NamedTuple):
    """A GPU and its use.

    Attributes:
        state: `free`, `shared`, `full`, `foreign` or `failed`.
        why: its error, or what uses it besides our runs; None if there is neither.
        seen_at: when it was looked at.
        slots: how many runs it may have at a time.
        runs: the ids of the runs that have it.
        waiting: the ids of the queued runs that could be given it.
    """

    gpu: Gpu
    state: str
    why: str | None
    seen_at: float | None
    slots: int
    runs: list[int]
    waiting: list[int]


class GpusOfMachine(NamedTuple):
    """The GPUs of this machine as they are now.

    Attributes:
        problem: why they cannot be seen; None if they can.
        waiting: the first runs that wait for some, and why; None: it is next.
        more_waiting: how many others do.
    """

    problem: str | None
    gpus: list[GpuUse]
    waiting: list[tuple[Run, str | None]]
    more_waiting: int


def read_gpus(folder: Folder, warn: Warn) -> GpusOfMachine:
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
    gpus = [_use(gpu, board, waiting, config) for gpu in board.all_gpus]
    more = max(len(waiting) - _MAX_WAITING, 0)
    return GpusOfMachine(reading_now.problem, gpus, [*zip(first, why, strict=True)], more)


def stored_gpus(store: Store, config: Config) -> tuple[list[GpuUse], float]:
    """Return the GPUs as a server saw them last, and when that was; none if none has looked."""
    look = store.gpus.reading()
    board = store.gpus.allocator(look, limits_of(config), now())
    if look is None or not board.all_gpus:
        return [], 0.0
    waiting = store.gpus.waiting()
    return [_use(gpu, board, waiting, config) for gpu in board.all_gpus], look.began_at


def _use(gpu: Gpu, board: Allocator, waiting: Iterable[_Waiting], config: Config) -> GpuUse:
    runs = [lease.run for lease in board.leases_on(gpu)]
    return GpuUse(
        gpu=gpu,
        state=_state(gpu, board, runs, config),
        why=gpu.error or board.foreign_use(gpu),
        seen_at=board.seen_at,
        slots=config.gpus.slots,
        runs=runs,
        waiting=[id_ for id_, queue, request in waiting if _may_have(gpu, board, queue, request, config)],
    )


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
