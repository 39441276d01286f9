"""Files that the intake hands to the dispatcher, each delivery recorded in one cycle."""

from collections.abc import Callable, Sequence
from itertools import chain, islice, repeat

import anyio

from aqueue.errors import AqueueError
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.server.cycle_result import CycleResult


class Delivery:
    """Files that are recorded in one cycle.

    Args:
        files: claimed task files.
        schedule_files: files that were read or removed.
    """

    def __init__(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile]) -> None:
        self.files = files
        self.schedule_files = schedule_files
        self.refused: Sequence[AqueueError | None] = ()
        """The error for each schedule file that the store refused, else None."""
        self.is_taken = False
        """True once recorded. A leaving server records nothing: the next one finds the files."""
        self.answered = anyio.Event()


class Deliveries:
    """The deliveries that wait for a cycle, and those of the current cycle.

    Args:
        request_cycle: is called when a delivery arrives.
    """

    def __init__(self, request_cycle: Callable[[], None]) -> None:
        self._request_cycle = request_cycle
        self._waiting: list[Delivery] = []
        self._in_cycle: list[Delivery] = []
        self._is_closed = False

    def __len__(self) -> int:
        """Return the number of deliveries that wait for a cycle."""
        return len(self._waiting)

    async def deliver(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile]) -> Delivery:
        """Hand over files and wait until a cycle has recorded them, or until no cycle will."""
        delivery = Delivery(files, schedule_files)
        if not self._is_closed:
            self._waiting.append(delivery)
            self._request_cycle()
            await delivery.answered.wait()
        return delivery

    def take(self) -> Sequence[Delivery]:
        """Return the deliveries for a new cycle."""
        self._in_cycle, self._waiting = self._waiting, []
        return self._in_cycle

    def put_back(self) -> None:
        """Keep the deliveries of a failed cycle for the next."""
        self._waiting = self._in_cycle + self._waiting
        self._in_cycle = []

    def answer(self, result: CycleResult) -> None:
        """Answer the deliveries of a cycle with its result."""
        refused = chain(result.schedules.refused, repeat(None))
        for delivery in self._in_cycle:
            delivery.refused = list(islice(refused, len(delivery.schedule_files)))
            delivery.is_taken = True
            delivery.answered.set()
        self._in_cycle = []

    def close(self) -> None:
        """Answer all waiting and later deliveries as not recorded."""
        # A thread that waits for an answer cannot be cancelled.
        self._is_closed = True
        for delivery in (*self._in_cycle, *self._waiting):
            delivery.answered.set()
