"""A store, and a machine with GPUs that is read whenever a server claims runs."""

import sqlite3
from typing import Any

import msgspec

from aqueue.model.claim import ClaimResult, GpuView
from aqueue.model.config import Queue
from aqueue.model.gpu import Gpu, GpuProcess, GpuReading
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.policy.limits import Limits
from tests.integration.recording import NOW, Book

GIB = 1 << 30
STRANGER = (GpuProcess(pid=77, user="ann", name="python"),)
LINKED = Queue(name="lane", max_concurrency=1000)


class Machine(Book):
    """A store, and a machine with cards, at which somebody looks whenever a server claims."""

    def __init__(self, connection: sqlite3.Connection, cards: int = 2) -> None:
        super().__init__(connection)
        self.cards = [a_card(index) for index in range(cards)]
        self.now = NOW

    def change(self, index: int, **changes: Any) -> None:
        self.cards[index] = msgspec.structs.replace(self.cards[index], **changes)

    def look(self) -> GpuReading:
        return GpuReading(began_at=self.now, ended_at=self.now, gpus=tuple(self.cards))

    def take(self, server: str = "me", view: GpuView | None = None, **limits: Any) -> ClaimResult:
        """Claim a second later than the last time, by a fresh look if no other is given."""
        self.now += 1
        known = Limits(**{"jobs": 1000} | limits)
        return self.store.claims.claim(server, known, self.now, GpuView(self.look()) if view is None else view)

    def given(self, server: str = "me", **limits: Any) -> dict[int, list[str]]:
        """Return the GPUs of each run that starts now."""
        return {run.id: labels(run) for run in self.take(server, **limits).runs}

    def end(self, run: Run | int, end: End = End.EXITED, code: int | None = 0, server: str = "me") -> Run:
        """Its attempt ends a second later."""
        self.now += 1
        outcome = Outcome(run=self.get(run), end=end, exit_code=code, at=self.now)
        assert self.store.lifecycle.finish(outcome, server) is not None
        return self.get(run)


def a_card(index: int, **changes: Any) -> Gpu:
    plain: dict[str, Any] = {"total": 24 * GIB, "free": 24 * GIB, "processes": ()}
    return Gpu(key=f"GPU-{index}{index}{index}{index}", index=index, **plain | changes)


def labels(run: Run) -> list[str]:
    return [card.label for card in run.gpus]


def queues(*configured: Queue) -> dict[str, Queue]:
    return {queue.name: queue for queue in configured}


class Container(Machine):
    """A machine in which processes cannot be seen; every look is news."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, cards=1)
        self.enter("me")
        self.last: GpuReading | None = None
        self.change(0, processes=None)

    def news(self, **limits: Any) -> ClaimResult:
        taken = self.take(view=GpuView(self.look(), self.last, is_news=True), **limits)
        self.last = taken.reading
        return taken
