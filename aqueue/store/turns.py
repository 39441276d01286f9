"""The order in which waiting runs have their turn.

Startable runs stand in lines, one for each queue and each GPU request in it. Of the first runs of all open lines,
the best has the next turn. If it cannot get its GPUs, no run with the same request can; the other lines go on, but
without the GPUs that are reserved for it.
"""

import sqlite3
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import msgspec

from aqueue.model.gpu import GpuRequest
from aqueue.policy.gpu_leases import Reservation
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.gpu_placement import Allocator, Placed
from aqueue.policy.limits import Limits, Openings, Usage
from aqueue.store.gpus import DIRECT, LINES, Gpus
from aqueue.store.rows import as_json

_FEW: Final = 8
"""The number of queues up to which a statement uses placeholders: json_each takes twice the time."""

_NO_GPUS: Final = Placed(())

_request_decoder = msgspec.json.Decoder(GpuRequest)


class Supply(NamedTuple):
    """The slots and GPUs that a server can assign to runs.

    Attributes:
        usage: the slots in use; updated with each claim.
        allocator: the allocator of its GPUs.
        others: the reservations of other servers for waiting runs, in the order of their turns.
    """

    limits: Limits
    usage: Usage
    allocator: Allocator
    others: Sequence[Reservation] = ()


class Turn(NamedTuple):
    """A run that is first in its line, and its GPUs or the reason why it gets none."""

    priority: int
    turn: float
    run: int
    queue: str
    asked: GpuRequest | None
    found: Placed | Blocked


class Turns:
    """The turns of waiting runs, the best first.

    Iterate once, and claim each run that is placed before you go on to the next turn.

    Args:
        transaction: a connection inside a transaction.
        supply: the slots and GPUs to assign; updated.
        direct: only direct runs, which need no slot.
        keeps_slots: whether a run that only needs a new reading keeps its slot; otherwise runs without GPUs could
            overtake it for ever.
        is_preview: claim nothing; only runs that request GPUs have turns, and only one for each request.
    """

    def __init__(
        self,
        transaction: sqlite3.Connection,
        supply: Supply,
        *,
        direct: bool = False,
        keeps_slots: bool = True,
        is_preview: bool = False,
    ) -> None:
        self._transaction = transaction
        self._limits, self._usage, self._allocator, others = supply
        self._others = deque(others)
        self._lines = DIRECT if direct else LINES
        self._direct = direct
        self._keeps_slots = keeps_slots
        self._is_preview = is_preview
        # Queues confined to some GPUs are few, so each is queried separately.
        self._confined = {name for name, queue in self._limits.queues.items() if queue.gpus is not None}
        self._closed: dict[str, set[str]] = defaultdict(set)
        self._given_up: set[str] = set()
        self._had_their_turn: set[int] = set()
        self._firsts: list[tuple[int, float, int, str, str]] = []
        self._openings = self._find_openings()

    def __iter__(self) -> Iterator[Turn]:
        for gpu_request in Gpus(self._transaction).gpu_requests(self._direct):
            if gpu_request or not self._is_preview:
                self._push_first(gpu_request)
        while self._firsts:
            priority, turn, run, queue, gpu_request = heappop(self._firsts)
            if self._openings.include(queue):
                self._reserve_for_those_before(priority, turn, run)
                yield self._turn(priority, turn, run, queue, gpu_request)
            self._push_first(gpu_request)

    def _turn(self, priority: int, turn: float, run: int, queue: str, gpu_request: str) -> Turn:
        confinement = self._limits.confinement(queue)
        asked = _request_decoder.decode(gpu_request) if gpu_request else None
        found = _NO_GPUS if asked is None else self._allocator.place(run, asked, confinement)
        if isinstance(found, Placed) or (found.needs_reading and self._keeps_slots):
            self._usage.add(queue, self._limits)
            self._openings = self._find_openings()
        if isinstance(found, Blocked) or self._is_preview:
            if confinement is None:
                self._given_up.add(gpu_request)
            else:
                self._closed[gpu_request].add(queue)
        return Turn(priority, turn, run, queue, asked, found)

    def _push_first(self, gpu_request: str) -> None:
        """Add the first run with this request in the open queues to `_firsts`."""
        only = self._confined if gpu_request in self._given_up else None
        left = self._openings.without(self._closed[gpu_request], only)
        if left.any and (first := first_in_line(self._transaction, gpu_request, left, self._lines)):
            heappush(self._firsts, (*first, gpu_request))

    def _reserve_for_those_before(self, priority: int, turn: float, run: int) -> None:
        """Withhold the GPUs that other servers reserve for runs ahead of this one."""
        while self._others:
            first = self._others[0]
            if (first.priority, first.turn, first.run) >= (priority, turn, run):
                break
            reservation = self._others.popleft()
            if reservation.run not in self._had_their_turn:
                self._allocator.add_reservation(reservation)
        self._had_their_turn.add(run)

    def _find_openings(self) -> Openings:
        if self._direct:
            return self._usage.openings_for_direct(self._limits)
        return self._usage.openings(self._limits)


def first_in_line(
    transaction: sqlite3.Connection, gpu_request: str, openings: Openings, lines: str = LINES
) -> tuple[int, float, int, str] | None:
    """Return priority, turn, id and queue of the first run with this request in the open queues."""
    is_open, queues = _condition(openings)
    found: tuple[int, float, int, str] | None = transaction.execute(
        f"SELECT priority, turn, run, queue FROM {lines}"
        f" WHERE gpu_request = ? AND {is_open} ORDER BY priority, turn, run LIMIT 1",
        (gpu_request, *queues),
    ).fetchone()
    return found


def _condition(openings: Openings) -> tuple[str, Collection[str]]:
    """Return the condition for the open queues, and the values of its placeholders."""
    which, queues = ("NOT IN", openings.all_but) if openings.only is None else ("IN", openings.only)
    if len(queues) > _FEW:
        return f"queue {which} (SELECT value FROM json_each(?))", (as_json(queues),)
    return f"queue {which} ({', '.join('?' * len(queues))})", queues
