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


def look(folder: Folder, warn: Warn) -> Seen:
    """Look at the GPUs of this machine.

    Args:
        warn: is told of an error in the configuration.
    """
    # Imported here: only this asks the driver.
    from aqueue.gpus.probe import Gpus

    looking = Gpus(folder)
    try:
        reading_now = looking.look_now()
    finally:
        looking.close()
    config = config_or_default(folder, warn)
    with reading(folder) as store:
        board = store.gpus.allocator(reading_now, limits_of(config), now())
        board = store.gpus.allocator(with_doubts(reading_now, None, board), limits_of(config), now())
        waiting = store.gpus.waiting()
        first = [run for id_, _, _ in waiting[:_MAX_WAITING] if (run := store.runs.get(id_))]
        why = waits(store, folder, first, warn)
    cards = [card_as_json(card, board, waiting, config) for card in board.all_cards]
    return Seen(reading_now.problem, cards, [*zip(first, why, strict=True)], max(len(waiting) - _MAX_WAITING, 0))


def known_as_json(store: Store, config: Config) -> tuple[list[dict[str, Any]], float]:
    """Return the GPUs as a server saw them last, and when that was; none if none has looked."""
    look = store.gpus.reading()
    board = store.gpus.allocator(look, limits_of(config), now())
    if look is None or not board.all_cards:
        return [], 0.0
    waiting = store.gpus.waiting()
    return [card_as_json(card, board, waiting, config) for card in board.all_cards], look.began_at


def card_as_json(card: Gpu, board: Allocator, waiting: Iterable[_Waiting], config: Config) -> dict[str, Any]:
    """Return a GPU as `gpus --json` and `status --json` have it. Memory is in bytes."""
    runs = [lease.run for lease in board.leases_on(card)]
    return {
        "index": card.index,
        "instance": card.instance,
        "uuid": None if card.is_declared else card.key,
        "name": card.name or None,
        "memory_total": card.total,
        "memory_free": card.free,
        "state": _state(card, board, runs, config),
        "seen_at": views.iso(board.seen_at),
        "why": card.error or board.foreign(card),
        "slots": config.gpus.slots,
        "runs": runs,
        "processes": None
        if card.processes is None
        else [
            {
                "pid": process.pid,
                "memory": process.memory,
                "user": process.user or None,
                "name": process.name or None,
                "run": process.run,
            }
            for process in card.processes
        ],
        "waiting": [id_ for id_, queue, demand in waiting if _may_have(card, board, queue, demand, config)],
    }


def _state(card: Gpu, board: Allocator, runs: Sequence[int], config: Config) -> str:
    if card.error is not None:
        return "failed"
    if len(runs) >= config.gpus.slots:
        return "full"
    if board.foreign(card) and not config.gpus.share_with_others:
        return "foreign"
    return "shared" if runs else "free"


def _may_have(card: Gpu, board: Allocator, queue: str, demand: GpuRequest, config: Config) -> bool:
    """Return True if a run of that queue could be given this GPU one day."""
    confinement = limits_of(config).confinement(queue)
    allowed = board.all_cards if confinement is None else within(board.all_cards, confinement)
    if lacks(demand, allowed) is not None:
        return False
    wanted = resolved(allowed, demand.ids)[0] if demand.ids else allowed
    return card in wanted and (card.total is None or card.total >= (demand.memory or 0))
