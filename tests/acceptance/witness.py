"""Sees from outside what becomes of queued runs, and says when it is not what it must be.

What runs write themselves tells which of them go on at the same time, at each instant; the store tells who waits.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.model.server import Server
from aqueue.store import database
from aqueue.store.store import Store
from tests.acceptance.driving import Place

_TELL = "echo {} $AQUEUE_ID $AQUEUE_QUEUE >>ledger"
_COMMAND = f"{_TELL.format('begin')}; {{}}; {_TELL.format('end')}; exit $((AQUEUE_ID % 3))"

BRIEF = _COMMAND.format("sleep 0.05")
PATIENT = _COMMAND.format("until [ -e go ] || [ -e go-$AQUEUE_ID ]; do sleep 0.05; done")
"""Goes on until there is a file of this name. Both end with an exit code that follows from the id."""


class Witness:
    """Knows which runs there must be, and looks again and again at what they do.

    Args:
        limits: of the configured queues; every other one has one slot.
    """

    def __init__(self, place: Place, limits: Mapping[str, int]) -> None:
        self.limits = dict(limits)
        self.known: set[int] = set()
        self.held: set[int] = set()
        self.dequeued: set[int] = set()
        self.runs: dict[int, Run] = {}
        self.begun: list[int] = []
        self.ended: set[int] = set()
        self._folder = Folder(place.folder)
        self._ledger = place.path("ledger")
        self._lines_read = 0
        self._going: dict[str, set[int]] = defaultdict(set)
        # The most that a server may take the limits for; and what that was when a run may have been claimed.
        self._bounds = dict(limits)
        self._bounds_then: dict[int, int] = {}

    def limit(self, queue: str, slots: int) -> None:
        """The limit of a queue is about to change."""
        self.limits[queue] = slots
        self._bounds[queue] = max(self._bounds[queue], slots)

    def limits_are_known(self) -> None:
        """Every server knows the limits: they hold for all that is claimed from now on."""
        for run in self.read_runs().values():
            if run.state not in (State.HELD, State.QUEUED) and run.queue in self._bounds:
                self._bounds_then[run.id] = max(self._bounds[run.queue], self._bounds_then.get(run.id, 0))
        self._bounds = dict(self.limits)

    def look(self) -> None:
        """Look at what has happened; AssertionError if it must not."""
        self._read_on()
        before, self.runs = self.runs, self.read_runs()
        assert set(self.runs) == self.known - self.dequeued
        assert {id_ for id_, run in self.runs.items() if run.state is State.HELD} == self.held
        assert [id_ for id_ in self.begun if self.runs[id_].state in (State.HELD, State.QUEUED)] == []
        assert {id_ for id_, run in before.items() if run.finished_at} <= self.ended
        self._check_order(in_line(before))

    def every_slot_is_used(self) -> bool:
        """Return True if no run waits in a configured queue that has a slot for it."""
        count = Counter((run.queue, run.state) for run in self.read_runs().values())
        return all(
            count[queue, State.RUNNING] >= slots or not count[queue, State.QUEUED]
            for queue, slots in self.limits.items()
        )

    def lines(self) -> list[str]:
        """Return the lines that runs have written: `begin` or `end`, their id, their queue."""
        text = self._ledger.read_text() if self._ledger.exists() else ""
        return text.rpartition("\n")[0].splitlines()

    def going_on(self) -> list[int]:
        """The ids of the runs that have begun and not ended."""
        times = Counter(int(line.split()[1]) for line in self.lines())
        return [run for run, lines in sorted(times.items()) if lines == 1]

    def read_runs(self) -> dict[int, Run]:
        """All runs by their ids, as they are now."""
        with self._store() as store:
            return {run.id: run for run in store.runs.select()}

    def read_servers(self) -> list[Server]:
        """All servers that have entered, and not left."""
        with self._store() as store:
            return store.servers.all()

    def is_store_locked(self) -> bool:
        """Return True if somebody is in the middle of a transaction, and stays there."""
        with closing(sqlite3.connect(self._folder.database, timeout=0.3, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
        return False

    @contextmanager
    def _store(self) -> Iterator[Store]:
        with closing(database.connect(self._folder)) as connection, database.snapshot(connection, self._folder):
            yield Store(connection)

    def _read_on(self) -> None:
        lines = self.lines()
        for line in lines[self._lines_read :]:
            what, number, queue = line.split()
            run = int(number)
            if what == "end":
                self._going[queue].remove(run)
                self.ended.add(run)
                continue
            assert run not in self.begun, f"run {run} has begun twice"
            self.begun.append(run)
            self._going[queue].add(run)
            slots = self._bounds_then.get(run, self._bounds.get(queue, 1))
            assert len(self._going[queue]) <= slots, f"{self._going[queue]} in queue {queue} of {slots}"
        self._lines_read = len(lines)

    def _check_order(self, line: list[Run]) -> None:
        """Nobody has passed one who was ahead in line, and was left alone since."""
        begun = {id_: place for place, id_ in enumerate(self.begun)}
        for place, run in enumerate(line):
            ahead = [other for other in line[:place] if other.queue == run.queue]
            if run.id in self.runs and self.runs[run.id].attempt > run.attempt:
                assert left(ahead, self.runs) == [], f"run {run.id} has passed them"
            if run.id in begun and self._bounds.get(run.queue, 1) == 1:
                later = [other.id for other in ahead if begun.get(other.id, -1) > begun[run.id]]
                assert later == [], f"run {run.id} began before them"


def in_line(runs: Mapping[int, Run]) -> list[Run]:
    """Those that wait in a queue, in the order in which those of the same queue are to be started."""
    queued = [run for run in runs.values() if run.state is State.QUEUED]
    return sorted(queued, key=lambda run: (run.priority, run.turn, run.id))


def left(line: list[Run], now: Mapping[int, Run]) -> list[int]:
    """The ids of those in a line who still wait there, and have not been started since."""
    return [
        run.id
        for run in line
        if run.id in now and (now[run.id].state, now[run.id].attempt) == (State.QUEUED, run.attempt)
    ]
