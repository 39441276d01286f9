"""Files that the intake delivers to the dispatcher, and waits to have recorded."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice, repeat

import anyio

from aqueue.errors import AqueueError
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.submission import Accepted
from aqueue.server.cycle_result import CycleResult


class Delivery:
    """Files that are recorded in one cycle.

    Args:
        files: claimed ones, with tasks.
        schedule_files: that were read, or are gone.
    """

    def __init__(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile]) -> None:
        self.files = files
        self.schedule_files = schedule_files
        self.accepted: Mapping[str, Sequence[Accepted]] = {}
        """The new runs of each file, by its name in `incoming/`."""
        self.refused: Sequence[AqueueError | None] = ()
        """For each schedule file the error for which it is refused, or None."""
        self.is_taken = False
        """True once it is recorded. A server that leaves records nothing: the next one finds the files."""
        self.answered = anyio.Event()


class Deliveries:
    """The deliveries that wait for a cycle, and those of the cycle that goes on.

    Args:
        request_cycle: is called when one comes.
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
        """Have files recorded by the next cycle, unless there is none any more; return once that is answered."""
        delivery = Delivery(files, schedule_files)
        if not self._is_closed:
            self._waiting.append(delivery)
            self._request_cycle()
            await delivery.answered.wait()
        return delivery

    def take(self) -> Sequence[Delivery]:
        """Return the deliveries for the cycle that begins."""
        self._in_cycle, self._waiting = self._waiting, []
        return self._in_cycle

    def put_back(self) -> None:
        """Keep what was taken for the next cycle: this one has failed."""
        self._waiting = self._in_cycle + self._waiting
        self._in_cycle = []

    def answer(self, result: CycleResult) -> None:
        """Tell those who wait the result for their files."""
        refused = chain(result.schedules.refused, repeat(None))
        for delivery in self._in_cycle:
            delivery.accepted = result.accepted
            delivery.refused = list(islice(refused, len(delivery.schedule_files)))
            delivery.is_taken = True
            delivery.answered.set()
        self._in_cycle = []

    def close(self) -> None:
        """Answer all that still wait, and all that come later: nothing is recorded any more."""
        # A thread that waits for an answer cannot be cancelled.
        self._is_closed = True
        for delivery in (*self._in_cycle, *self._waiting):
            delivery.answered.set()
