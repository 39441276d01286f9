"""Wake → one transaction → start what it gave.

All that happens to runs in this server goes through one loop. Whatever has come together since the last round,
files to accept and attempts that are over, is recorded in one transaction, and the same transaction claims the
runs that may start now. So a run costs one commit, and many runs at once cost few. Starting is left to each
run's own task: the next round never waits for it.
"""

import math
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import chain, islice, repeat

import anyio
import anyio.abc
import msgspec

from aqueue.capacity import Limits
from aqueue.cardwatch import CardWatch
from aqueue.claims import Taken
from aqueue.clock import Clock
from aqueue.db import Database, Work
from aqueue.disk import DISK_FULL_PAUSE, NO_ROOM_PAUSE, Disk
from aqueue.errors import AqueueError, BusyError, DiskFullError
from aqueue.events import Notice, Report, RunAborted, RunAccepted, RunEnded, RunStarted
from aqueue.folder import Folder
from aqueue.gpus import Gpus
from aqueue.incoming import Claimed
from aqueue.models import Run, Server, State
from aqueue.outcomes import End, Outcome
from aqueue.planner import Planned, Planner
from aqueue.queries import Outlook
from aqueue.requests import Request
from aqueue.runner import Runner
from aqueue.schedulefiles import ScheduleFile
from aqueue.store import Store
from aqueue.timetable import Timetable

_FEW = 64
"""How many new runs one transaction puts into the store in a few milliseconds."""

RollCall = Callable[[Sequence[Server], float], tuple[Collection[str], Collection[str]]]


class Delivery:
    """Files that somebody waits to have taken up.

    Args:
        files: with tasks.
        schedule_files: that were read.
    """

    def __init__(self, files: Sequence[Claimed], schedule_files: Sequence[ScheduleFile]) -> None:
        self.files = files
        self.schedule_files = schedule_files
        self.ids: list[list[list[int]]] = []
        """For each file the ids of its runs, for each request in it."""
        self.refused: Sequence[AqueueError | None] = ()
        """For each schedule file why it is not taken, or None."""
        self.is_taken = False
        """Whether this has been done. A server that leaves does not do it: the next one finds the files."""
        self.answered = anyio.Event()


class _Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction did, and what there is to know after it."""

    known: set[str]
    ids: list[list[list[list[int]]]]
    aborted: list[Run]
    let_go: int
    planned: Planned
    ended: list[tuple[Outcome, Run]]
    adopted: list[tuple[Run, str]]
    held: set[tuple[int, int]] | None
    taken: Taken | None
    cancellations: list[tuple[int, str]]
    record: Server | None
    outlook: Outlook

    @property
    def claimed(self) -> list[Run]:
        """The runs that may start now."""
        return self.taken.runs if self.taken is not None else []

    @property
    def concerns_others(self) -> bool:
        """Whether another server may now be able to start something that this one did not, or to leave."""
        if self.outlook.servers < 2:
            return False
        claimed = Counter(run.queue for run in self.claimed)
        if Counter(run.queue for _, run in self.ended) - claimed:
            return True
        come = sum(len(ids) for delivery in self.ids for file in delivery for ids in file) + self.let_go
        come += len(self.planned.made) + (self.planned.decided.caught_up if self.planned.decided else 0)
        return self.outlook.waiting and come + len(self.ended) > len(self.claimed)


class Dispatcher:
    """Starts runs as capacity allows, for one server.

    Args:
        server: the server's id.
        limits: asked anew in each round.
        roll_call: tells the ids of the servers that give a sign of life from those that are gone.
        new_runner: makes the runner of a claimed run.
        planner: looks after schedules.
        take_orders: is told now and then what the store says of this server.
        gpus: look at the machine's GPUs.
    """

    def __init__(
        self,
        *,
        folder: Folder,
        database: Database,
        server: str,
        limits: Callable[[], Limits],
        roll_call: RollCall,
        new_runner: Callable[[Run], Runner],
        planner: Planner,
        take_orders: Callable[[Server], None],
        gpus: Gpus,
        clock: Clock,
        report: Report,
    ) -> None:
        self._folder = folder
        self._database = database
        self._server = server
        self._limits = limits
        self._roll_call = roll_call
        self._new_runner = new_runner
        self._planner = planner
        self._take_orders = take_orders
        self._clock = clock
        self._report = report
        self._deliveries: list[Delivery] = []
        self._unanswered: set[Delivery] = set()
        self._is_over = False
        self._outcomes: list[tuple[Runner, Outcome]] = []
        self._runners: set[Runner] = set()
        self._awake = anyio.Event()
        self._rung = False
        self._beat_is_due = True
        self._has_company = False
        self._plan_at = 0.0
        self._draining = False
        self._disk = Disk(folder, clock, report)
        self._cards = CardWatch(gpus, clock, self._look_around, report)
        self.idle_since: float | None = None
        self.has_schedules = False

    @property
    def running(self) -> int:
        """How many attempts are going on here, or are over but not yet recorded."""
        return len(self._runners)

    def wake(self) -> None:
        """Have it look around: somebody else has changed the store, or time has passed."""
        self._rung = True
        self._awake.set()

    def _look_around(self) -> None:
        self._awake.set()

    def beat(self) -> None:
        """Have it give a sign of life, and see whether all other servers do."""
        self._beat_is_due = True
        self._awake.set()

    def drain(self) -> None:
        """Start nothing more."""
        self._draining = True
        self.wake()

    def stop_runs(self, why: str) -> None:
        """Stop every attempt that is going on."""
        for runner in self._runners:
            runner.stop(why)

    async def accept(self, files: Sequence[Claimed], schedule_files: Sequence[ScheduleFile]) -> Delivery:
        """Put claimed files, and what schedule files say, into the store, unless this has come to its end."""
        delivery = Delivery(files, schedule_files)
        if not self._is_over:
            self._deliveries.append(delivery)
            self._unanswered.add(delivery)
            self._awake.set()
            await delivery.answered.wait()
        return delivery

    def keep_schedules(self) -> None:
        """Make runs of what is due, from now on: every schedule file has been read."""
        self._planner.is_ready = True
        self.wake()

    async def run(self) -> None:
        """Dispatch until cancelled; or until drained, with nothing left that is going on."""
        try:
            await self._run()
        finally:
            # A thread that waits for an answer cannot be cancelled.
            self._is_over = True
            for delivery in self._unanswered:
                delivery.answered.set()

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cards.close_when_idle)
            while True:
                self._awake = anyio.Event()
                pause = await self._round(tasks)
                if self._draining and not self._runners and not self._deliveries:
                    # What is left are attempts that others see through now.
                    tasks.cancel_scope.cancel()
                    return
                if pause is None:
                    await self._awake.wait()
                    continue
                with anyio.move_on_after(pause):
                    await self._awake.wait()

    async def _round(self, tasks: anyio.abc.TaskGroup) -> float | None:
        """One transaction and what follows from it.

        Returns:
            for how many seconds at most to wait for the next; None: until there is something to do.
        """
        deliveries, self._deliveries = self._deliveries, []
        outcomes, self._outcomes = self._outcomes, []
        before = self._runners - {runner for runner, _ in outcomes}
        sight = self._cards.sight
        has_room = self._disk.has_room()
        is_small = self._is_small(deliveries)
        try:
            done = await self._database.write(
                self._work(deliveries, [outcome for _, outcome in outcomes], has_room and not self._draining),
                is_small=is_small,
            )
        except (DiskFullError, BusyError) as error:
            self._deliveries = deliveries + self._deliveries
            self._outcomes = outcomes + self._outcomes
            self._rung = self._beat_is_due = True
            if isinstance(error, DiskFullError):
                self._disk.is_full(error)
            else:
                self._report(Notice(f"{error}; {error.hint}", urgent=True))
            return DISK_FULL_PAUSE
        self._runners.difference_update(runner for runner, _ in outcomes)
        # Before anything else: whoever dropped a file is waiting for this.
        for run in done.claimed:
            runner = self._add_runner(run)
            runner.launch()
            tasks.start_soon(self._collect, runner, runner.see_through)
        self._tell(deliveries, done)
        if done.taken is not None:
            self._cards.warn(done.taken.look, self._limits().rules)
            self._cards.follow(sight, done.taken, tasks)
        self._has_company = done.outlook.servers > 1
        if self._has_company:
            # Where the runs of the others are is not known here.
            for runner in self._runners:
                runner.has_company = True
        self._let_go(before, done)
        for run, boot in done.adopted:
            runner = self._add_runner(run)
            tasks.start_soon(self._collect, runner, partial(runner.adopt, boot))
        stopped = dict(done.cancellations)
        for runner in self._runners:
            if runner.run.id in stopped:
                runner.stop(stopped[runner.run.id])
        if done.record is not None:
            self._take_orders(done.record)
        self.has_schedules = done.outlook.has_schedules
        if self._runners or done.outlook.busy or done.outlook.has_missed:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = self._clock.monotonic()
        if not has_room:
            return DISK_FULL_PAUSE
        return self._until_next(done.outlook)

    def _is_small(self, deliveries: Sequence[Delivery]) -> bool:
        """Whether there is only what most rounds are about: attempts that are over, and a few plain files."""
        if self._rung or self._beat_is_due or self._plan_at <= self._clock.now():
            return False
        if any(delivery.schedule_files for delivery in deliveries):
            return False
        requests = [request for delivery in deliveries for file in delivery.files for request in file.requests]
        return len(requests) <= _FEW and all(request.sweep is None for request in requests)

    def _until_next(self, outlook: Outlook) -> float | None:
        """For how many seconds there is nothing to do; None: until somebody says otherwise."""
        self._plan_at = math.inf
        if self._planner.is_ready and not self._draining:
            self._plan_at = (
                0.0 if outlook.has_missed else math.inf if outlook.next_due is None else outlook.next_due
            )
        moment = min(self._plan_at, math.inf if outlook.next_ready is None else outlook.next_ready)
        pause = max(0.0, moment - self._clock.now())
        if not self._draining:
            pause = min(pause, self._cards.seconds_left())
        return None if math.isinf(pause) else pause

    def _add_runner(self, run: Run) -> Runner:
        runner = self._new_runner(run)
        for other in self._runners:
            if other.working_dir == runner.working_dir is not None:
                other.has_company = runner.has_company = True
        self._runners.add(runner)
        return runner

    def _let_go(self, runners: Iterable[Runner], done: _Round) -> None:
        """Leave those runs alone that others took over while this server slept, even if they gave them back."""
        if done.held is None:
            return
        mine = done.held - {(run.id, run.attempt) for run, _ in done.adopted}
        for runner in runners:
            if (runner.run.id, runner.run.attempt) not in mine:
                runner.disown()
                self._runners.discard(runner)

    def _work(self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome], starting: bool) -> Work[_Round]:
        server, limits, now = self._server, self._limits(), self._clock.now()
        sight = self._cards.sight
        rung, self._rung = self._rung, False
        beating, self._beat_is_due = self._beat_is_due, False
        # On its way out it makes no runs; so what files say is for the next server to read.
        schedule_files = [] if self._draining else [file for one in deliveries for file in one.schedule_files]
        making = not self._draining and (rung or beating or self._plan_at <= now)
        # On its way out it leaves them to others.
        adopting = (beating or self._has_company) and not self._draining

        def work(connection: sqlite3.Connection) -> _Round:
            store = Timetable(connection)
            files = [file for delivery in deliveries for file in delivery.files]
            known = {file.name for file in files if file.is_left_behind and store.runs_of(file.name)}
            ids = [[self._accept(store, file, known, now) for file in one.files] for one in deliveries]
            ended = [(outcome, run) for outcome in outcomes if (run := store.finish(outcome, server))]
            servers = store.servers() if adopting else []
            if beating:
                store.beat(server, limits, now)
                store.follow_clock(now)
            return _Round(
                known=known,
                ids=ids,
                planned=self._planner.plan(store, schedule_files, limits, now, making=making),
                ended=ended,
                adopted=store.adopt(server, *self._roll_call(servers, now)) if adopting else [],
                held=store.held_by(server) if beating else None,
                taken=store.claim(server, limits, now, sight) if starting else None,
                cancellations=store.cancellations(server) if rung or beating else [],
                record=store.server(server) if rung or beating else None,
                outlook=store.outlook(limits, now),
                aborted=store.aborted,
                let_go=len(store.let_go),
            )

        return work

    def _accept(self, store: Store, file: Claimed, known: Collection[str], now: float) -> list[list[int]]:
        """Put the runs of a file into the store, and return their ids; none if it has been dealt with."""
        # Whoever takes its runs off the queue or forgets them puts the file away in the same transaction.
        if file.is_left_behind and file.name not in known and not (self._folder.incoming / file.name).exists():
            return []
        return store.accept(file.name, file.requests, now)

    def _tell(self, deliveries: Sequence[Delivery], done: _Round) -> None:
        refused = chain(done.planned.refused, repeat(None))
        for delivery, ids in zip(deliveries, done.ids, strict=True):
            delivery.ids = ids
            delivery.refused = list(islice(refused, len(delivery.schedule_files)))
            delivery.is_taken = True
            delivery.answered.set()
            self._unanswered.discard(delivery)
            for file, ids_of_file in zip(delivery.files, ids, strict=True):
                if file.name in done.known:
                    continue
                for request, runs in zip(file.requests, ids_of_file, strict=False):
                    self._tell_accepted(request, runs, file.source)
        self._planner.tell(done.planned)
        for run in done.planned.made:
            self._cards.expect(run.id, run.task)
        for outcome, run in done.ended:
            if outcome.end is End.NEVER_STARTED and outcome.why:
                # A quota, perhaps, of which the disk knows nothing: there is no telling when it is over.
                self._disk.is_full(outcome.why, NO_ROOM_PAUSE)
            seconds = outcome.at - (outcome.run.started_at or outcome.at)
            self._report(RunEnded(run, max(seconds, 0.0), failed=run.state is not State.SUCCEEDED))
        for run in done.aborted:
            self._report(RunAborted(run))
        for run in done.claimed:
            self._report(RunStarted(run))
        for run, _ in done.adopted:
            self._report(RunStarted(run, adopted=True))
        if done.ended or done.claimed or done.planned.made:
            self._folder.tell()
        if done.concerns_others:
            self._folder.ring()

    def _tell_accepted(self, request: Request, runs: Sequence[int], source: str) -> None:
        task = request.task
        if runs:
            is_sweep = request.sweep is not None
            queue = task.queue or task.name
            self._report(
                RunAccepted(runs[0], task.name, queue, source, task.hold, len(runs) if is_sweep else None)
            )
        for id_ in runs:
            self._cards.expect(id_, task)

    async def _collect(self, runner: Runner, see_through: Callable[[], Awaitable[Outcome]]) -> None:
        """Wait for a runner's outcome. Whatever goes wrong in there concerns that run alone."""
        try:
            outcome = await see_through()
        except Exception as error:
            why = f"aqueue could not see it through: {type(error).__name__}: {error}"
            outcome = Outcome(run=runner.run, end=End.FAILED_TO_START, at=self._clock.now(), why=why)
        self._outcomes.append((runner, outcome))
        self._awake.set()
