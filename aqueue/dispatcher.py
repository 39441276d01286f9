"""Wake → one transaction → start what it gave.

All that happens to runs in this server goes through one loop. Whatever has come together since the last round,
files to accept and attempts that are over, is recorded in one transaction, and the same transaction claims the
runs that may start now. So a run costs one commit, and many runs at once cost few. Starting is left to each
run's own task: the next round never waits for it.
"""

import math
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

import anyio
import anyio.abc
import msgspec

from aqueue.capacity import Limits
from aqueue.clock import Clock
from aqueue.db import Database, Work
from aqueue.errors import BusyError, DiskFullError
from aqueue.events import Notice, Report, RunAccepted, RunEnded, RunStarted
from aqueue.folder import Folder
from aqueue.inbox import Claimed
from aqueue.models import Run, State
from aqueue.outcomes import End, Outcome
from aqueue.runner import Runner
from aqueue.store import Store

ROOM_TO_START: Final = 16 << 20
"""Bytes that must be free on the disk for a run to be started: it will want to write its log."""

FILES_TO_START: Final = 64
"""How many more files there must be room for."""

_DISK_FULL_PAUSE = 1.0
_DISK_CHECK_SECONDS = 0.1
_NO_ROOM_PAUSE = 5.0


class _Delivery:
    """Files that somebody waits to have accepted."""

    def __init__(self, files: Sequence[Claimed]) -> None:
        self.files = files
        self.ids: list[list[int]] = []
        self.accepted = anyio.Event()


class _Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction did, and what there is to know after it."""

    ids: list[list[list[int]]]
    ended: list[tuple[Outcome, Run]]
    claimed: list[Run]
    cancellations: list[tuple[int, str]]
    busy: bool
    others: bool
    next_ready: float | None


class Dispatcher:
    """Starts runs as capacity allows, for one server.

    Args:
        server: the server's id.
        limits: asked anew in each round.
        new_runner: makes the runner of a claimed run.
    """

    def __init__(
        self,
        *,
        folder: Folder,
        database: Database,
        server: str,
        limits: Callable[[], Limits],
        new_runner: Callable[[Run], Runner],
        clock: Clock,
        report: Report,
    ) -> None:
        self._folder = folder
        self._database = database
        self._server = server
        self._limits = limits
        self._new_runner = new_runner
        self._clock = clock
        self._report = report
        self._deliveries: list[_Delivery] = []
        self._outcomes: list[Outcome] = []
        self._orphans: list[tuple[Run, str]] = []
        self._runners: dict[int, Runner] = {}
        self._awake = anyio.Event()
        self._rung = False
        self._draining = False
        self._disk_is_full = False
        self._check_disk_at = -math.inf
        self.idle_since: float | None = None

    @property
    def running(self) -> int:
        """How many attempts are going on here, or are over but not yet recorded."""
        return len(self._runners)

    def wake(self) -> None:
        """Have it look around: somebody else has changed the store, or time has passed."""
        self._rung = True
        self._awake.set()

    def drain(self) -> None:
        """Start nothing more."""
        self._draining = True
        self.wake()

    def stop_runs(self, why: str) -> None:
        """Stop every attempt that is going on."""
        for runner in self._runners.values():
            runner.stop(why)

    async def accept(self, files: Sequence[Claimed]) -> list[list[int]]:
        """Put claimed files into the store.

        Returns:
            for each file the ids of its runs.
        """
        delivery = _Delivery(files)
        self._deliveries.append(delivery)
        self._awake.set()
        await delivery.accepted.wait()
        return delivery.ids

    def adopt(self, orphans: Iterable[tuple[Run, str]]) -> None:
        """See runs of servers that are gone through.

        Args:
            orphans: the runs, each with the boot that its server was started in.
        """
        self._orphans.extend(orphans)
        self.wake()

    async def run(self) -> None:
        """Dispatch until cancelled; or until drained, with nothing left that is going on."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._awake = anyio.Event()
                self._adopt_orphans(tasks)
                pause = await self._round(tasks)
                if self._draining and not self._runners and not self._deliveries and not self._orphans:
                    return
                with anyio.move_on_after(pause):
                    await self._awake.wait()

    def _adopt_orphans(self, tasks: anyio.abc.TaskGroup) -> None:
        orphans, self._orphans = self._orphans, []
        for run, boot in orphans:
            runner = self._runners[run.id] = self._new_runner(run)
            self._report(RunStarted(run, adopted=True))
            tasks.start_soon(self._collect, runner, partial(runner.adopt, boot))

    async def _round(self, tasks: anyio.abc.TaskGroup) -> float | None:
        """One transaction and what follows from it.

        Returns:
            for how many seconds at most to wait for the next; None: until there is something to do.
        """
        deliveries, self._deliveries = self._deliveries, []
        outcomes, self._outcomes = self._outcomes, []
        has_room = self._check_disk()
        try:
            done = await self._database.write(self._work(deliveries, outcomes, has_room and not self._draining))
        except (DiskFullError, BusyError) as error:
            self._deliveries = deliveries + self._deliveries
            self._outcomes = outcomes + self._outcomes
            self._rung = True
            if isinstance(error, DiskFullError):
                self._say_full(error)
            else:
                self._report(Notice(f"{error}; {error.hint}", urgent=True))
            return _DISK_FULL_PAUSE
        for outcome in outcomes:
            self._runners.pop(outcome.run.id, None)
        # Before anything else: whoever dropped a file is waiting for this.
        for run in done.claimed:
            runner = self._runners[run.id] = self._new_runner(run)
            runner.launch()
            tasks.start_soon(self._collect, runner, runner.see_through)
        self._tell(deliveries, done)
        for id_, why in done.cancellations:
            if id_ in self._runners:
                self._runners[id_].stop(why)
        if self._runners or done.busy:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = self._clock.monotonic()
        if not has_room:
            return _DISK_FULL_PAUSE
        return None if done.next_ready is None else max(0.0, done.next_ready - self._clock.now())

    def _work(self, deliveries: Sequence[_Delivery], outcomes: Sequence[Outcome], starting: bool) -> Work[_Round]:
        server, limits, now = self._server, self._limits(), self._clock.now()
        rung, self._rung = self._rung, False

        def work(connection: sqlite3.Connection) -> _Round:
            store = Store(connection)
            ids = [
                [store.accept(file.name, file.tasks, now) for file in delivery.files] for delivery in deliveries
            ]
            ended = [(outcome, run) for outcome in outcomes if (run := store.finish(outcome, server))]
            claimed = store.claim(server, limits, now) if starting else []
            cancellations = store.cancellations(server) if rung else []
            busy, next_ready, servers = store.outlook(now)
            return _Round(
                ids=ids,
                ended=ended,
                claimed=claimed,
                cancellations=cancellations,
                busy=busy,
                others=servers > 1,
                next_ready=next_ready,
            )

        return work

    def _tell(self, deliveries: Sequence[_Delivery], done: _Round) -> None:
        for delivery, ids in zip(deliveries, done.ids, strict=True):
            delivery.ids = ids
            delivery.accepted.set()
            for file, ids_of_file in zip(delivery.files, ids, strict=True):
                for id_, task in zip(ids_of_file, file.tasks, strict=True):
                    self._report(RunAccepted(id_, task.name, task.queue or task.name, file.source, task.hold))
        for outcome, run in done.ended:
            seconds = outcome.at - (outcome.run.started_at or outcome.at)
            self._report(RunEnded(run, max(seconds, 0.0), failed=run.state is not State.SUCCEEDED))
        for run in done.claimed:
            self._report(RunStarted(run))
        if done.ended or done.claimed:
            self._folder.tell()
        if done.others and done.ended:
            # A slot is free that another server may fill.
            self._folder.ring()

    async def _collect(self, runner: Runner, see_through: Callable[[], Awaitable[Outcome]]) -> None:
        """Wait for a runner's outcome. Whatever goes wrong in there concerns that run alone."""
        try:
            outcome = await see_through()
        except Exception as error:
            why = f"aqueue could not see it through: {type(error).__name__}: {error}"
            outcome = Outcome(run=runner.run, end=End.FAILED_TO_START, at=self._clock.now(), why=why)
        if outcome.end is End.NEVER_STARTED and outcome.why:
            # A quota, perhaps, of which the disk knows nothing: there is no telling when it is over.
            self._say_full(outcome.why, _NO_ROOM_PAUSE)
        self._outcomes.append(outcome)
        self._awake.set()

    def _check_disk(self) -> bool:
        """Whether there is room for a run to write its log."""
        now = self._clock.monotonic()
        if now < self._check_disk_at:
            return not self._disk_is_full
        self._check_disk_at = now + _DISK_CHECK_SECONDS
        status = os.statvfs(self._folder.state)
        free = status.f_bavail * status.f_frsize
        if free < ROOM_TO_START:
            self._say_full(f"there are {free >> 20} MiB free")
        elif status.f_files and status.f_favail < FILES_TO_START:
            self._say_full(f"{status.f_favail} more files can be made")
        elif self._disk_is_full:
            self._disk_is_full = False
            self._report(Notice("there is room on the disk again: runs are started"))
        return not self._disk_is_full

    def _say_full(self, why: object, pause: float = _DISK_FULL_PAUSE) -> None:
        self._check_disk_at = self._clock.monotonic() + pause
        if not self._disk_is_full:
            self._disk_is_full = True
            self._report(Notice(f"the disk is full ({why}): nothing is started until there is room", urgent=True))
