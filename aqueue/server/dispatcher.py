"""Wake → one transaction → start what it gave.

All that happens to runs in this server goes through one loop. Whatever has come together since the last round,
files to accept and attempts that are over, is recorded in one transaction, and the same transaction claims the
runs that may start now (see `rounds`). So a run costs one commit, and many runs at once cost few. They are started
right after it; seeing them through is left to a task for each.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import anyio
import anyio.abc

from aqueue.clock import Clock, boot
from aqueue.errors import BusyError, DiskFullError
from aqueue.executors.local.headroom import DISK_FULL_PAUSE, Headroom
from aqueue.executors.local.runner import Runner
from aqueue.folder.layout import Folder
from aqueue.gpus.monitor import GpuMonitor
from aqueue.gpus.probe import Gpus
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.claim import GpuView
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, Run, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.server.cycle import (
    CallRoll,
    Cycle,
    CycleInput,
    CycleResult,
    Delivery,
    RollCall,
    accepted,
    answer,
    news_of_accepted,
    news_of_attempts,
)
from aqueue.server.schedules import Planner
from aqueue.store.database import Database
from aqueue.store.orders import Cancel, Leave, Order, OrderFile
from aqueue.store.queues import Outlook
from aqueue.store.servers import SET_SECONDS

_NO_FILES = "{} runs are all that this server may have files open for; `ulimit -n` says how many, before it starts"


class Dispatcher:
    """Starts runs as capacity allows, for one server.

    Args:
        server: the server's id.
        limits: asked anew in each round.
        call_roll: tells the servers that give a sign of life from those that are gone; it changes nothing.
        bury: clears away what is left of servers, once the store has forgotten them.
        new_runner: makes the runner of a claimed run.
        planner: looks after schedules.
        take_orders: is told now and then what the store says of this server.
        leave: is told when an order that the store could not take says so.
        tell: is told why nothing is started; empty once something is again.
        gpus: look at the machine's GPUs.
    """

    def __init__(
        self,
        *,
        folder: Folder,
        database: Database,
        server: str,
        limits: Callable[[], Limits],
        call_roll: CallRoll,
        bury: Callable[[RollCall], None],
        new_runner: Callable[[Run], Runner],
        planner: Planner,
        take_orders: Callable[[Server], None],
        leave: Callable[[Leaving], None],
        tell: Callable[[str], None],
        gpus: Gpus,
        clock: Clock,
        report: Report,
    ) -> None:
        self._folder = folder
        self._database = database
        self._server = server
        self._leave = leave
        self._orders = OrderFile(str(folder.orders))
        self._rounds = Cycle(folder, server, planner, call_roll)
        self._bury = bury
        self._limits = limits
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
        self._ahead = clock.ahead()
        self.is_draining = False
        """Whether it starts nothing more."""
        self._is_full = False
        self._room = Headroom(folder, clock, report, tell)
        self._cards = GpuMonitor(gpus, clock, self._look_around, report)
        self.idle_since: float | None = None
        self.has_schedules = False
        self.failed: set[int] = set()
        """The runs that came to their end here and have failed."""

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
        self.is_draining = True
        self.wake()

    def stop_runs(self, why: str) -> None:
        """Stop every attempt that is going on."""
        for runner in self._runners:
            runner.stop(why)

    async def accept(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile]) -> Delivery:
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
                if self.is_draining and not self._runners and not self._deliveries:
                    # What is left are attempts that others see through now.
                    tasks.cancel_scope.cancel()
                    return
                if self.is_draining and self._is_full and self._leave_to_next():
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
        for _, outcome in outcomes:
            if outcome.end is End.NEVER_STARTED and outcome.why:
                # A quota, perhaps, of which the disk knows nothing: there is no telling when it is over.
                self._room.is_missed(outcome.why)
        has_room = self._room.has_room()
        agenda = self._agenda(deliveries, [outcome for _, outcome in outcomes], sight if has_room else None)
        try:
            done = await self._database.write(partial(self._rounds.do, agenda), is_small=agenda.is_small)
        except (DiskFullError, BusyError) as error:
            self._deliveries = deliveries + self._deliveries
            self._outcomes = outcomes + self._outcomes
            self._rung = self._beat_is_due = True
            self._is_full = isinstance(error, DiskFullError)
            if self._is_full:
                self._room.is_short(f"the disk is full ({error})")
            else:
                self._room.is_hindered(str(error))
                self._report(Notice(f"{error}; {error.hint}", urgent=True))
            self._obey_orders(agenda.orders)
            return DISK_FULL_PAUSE
        self._is_full = False
        self._room.has_gone_on()
        if agenda.orders:
            self._orders.remove(agenda.orders)
            # They may be about runs of other servers.
            self._folder.ring()
        self._runners.difference_update(runner for runner, _ in outcomes)
        # Before anything else: whoever dropped a file is waiting for this.
        for run in done.claimed:
            runner = self._add_runner(run)
            if runner.launch():
                self._room.is_there()
            tasks.start_soon(self._collect, runner, runner.see_through)
        if len(self._runners) >= agenda.limits.runs:
            self._room.is_hindered(_NO_FILES.format(len(self._runners)))
        answer(deliveries, done)
        self._unanswered.difference_update(deliveries)
        self._tell(agenda, done)
        if done.taken is not None:
            self._cards.warn(done.taken.look, self._limits().rules)
            self._cards.follow(sight, done.taken, tasks)
        if done.roll_call is not None:
            self._bury(done.roll_call)
        self._let_go(before, done)
        for run, its_boot in done.adopted:
            runner = self._add_runner(run)
            tasks.start_soon(self._collect, runner, partial(runner.adopt, its_boot))
        self._obey(done)
        self._look_out(done.outlook)
        return self._until_next(done.outlook) if has_room else DISK_FULL_PAUSE

    def _agenda(
        self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome], sight: GpuView | None
    ) -> CycleInput:
        """What the next round is about. On its way out, a server makes and starts nothing, and leaves the rest."""
        now, stays = self._clock.now(), not self.is_draining
        rung, self._rung = self._rung, False
        beating, self._beat_is_due = self._beat_is_due, False
        return CycleInput(
            files=[delivery.files for delivery in deliveries],
            schedule_files=[file for one in deliveries for file in one.schedule_files] if stays else (),
            outcomes=outcomes,
            limits=self._limits(),
            now=now,
            clock_was_set=self._set_clock(),
            sight=sight if stays else None,
            rung=rung,
            beating=beating,
            making=stays and (rung or beating or self._plan_at <= now),
            adopting=stays and (beating or self._has_company),
            orders=self._orders.read() if rung or beating else (),
        )

    def _set_clock(self) -> tuple[str, float] | None:
        """Return this boot and how far the wall clock is ahead of it, if it was set since the last round."""
        ahead = self._clock.ahead()
        if abs(ahead - self._ahead) <= SET_SECONDS:
            return None
        self._ahead = ahead
        return boot(), ahead

    def _obey(self, done: CycleResult) -> None:
        """Do what people want of this server and its runs."""
        stopped = dict(done.cancellations)
        for runner in self._runners:
            if runner.run.id in stopped:
                runner.stop(stopped[runner.run.id])
        if done.record is not None:
            self._take_orders(done.record)

    def _obey_orders(self, orders: Sequence[Order]) -> None:
        """Do what people want, although it cannot be recorded yet."""
        for order in orders:
            if isinstance(order, Leave):
                if order.server == self._server:
                    self._leave(order.leaving)
                continue
            for runner in self._runners:
                if runner.run.id == order.run:
                    runner.stop(order.reason)

    def _leave_to_next(self) -> bool:
        """Leave it to the next server to record the ends of attempts, for which the disk has no room.

        Returns:
            False if an attempt goes on, or its end could not be told later.
        """
        if self._runners - {runner for runner, _ in self._outcomes}:
            return False
        stopped = [outcome for _, outcome in self._outcomes if outcome.end is End.STOPPED]
        try:
            # Their exit codes stand in their files; not that somebody wanted that.
            self._orders.give([Cancel(one.run.id, one.run.attempt, one.why) for one in stopped])
        except OSError:
            return False
        self._report(Notice("leaving; the next server records what has ended, once there is room", urgent=True))
        return True

    def _look_out(self, outlook: Outlook) -> None:
        """Take note of how things are now."""
        self._has_company = outlook.servers > 1
        if self._has_company:
            # Where the runs of the others are is not known here.
            for runner in self._runners:
                runner.has_company = True
        self.has_schedules = outlook.has_schedules
        if self._runners or outlook.busy or outlook.has_missed:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = self._clock.monotonic()

    def _until_next(self, outlook: Outlook) -> float | None:
        """For how many seconds there is nothing to do; None: until somebody says otherwise."""
        self._plan_at = math.inf
        if self._planner.is_ready and not self.is_draining:
            self._plan_at = (
                0.0 if outlook.has_missed else math.inf if outlook.next_due is None else outlook.next_due
            )
        moment = min(self._plan_at, math.inf if outlook.next_ready is None else outlook.next_ready)
        pause = max(0.0, moment - self._clock.now())
        if not self.is_draining:
            pause = min(pause, self._cards.seconds_left())
        return None if math.isinf(pause) else pause

    def _add_runner(self, run: Run) -> Runner:
        runner = self._new_runner(run)
        for other in self._runners:
            if other.working_dir == runner.working_dir is not None:
                other.has_company = runner.has_company = True
        self._runners.add(runner)
        return runner

    def _let_go(self, runners: Iterable[Runner], done: CycleResult) -> None:
        """Leave those runs alone that others took over while this server slept, even if they gave them back."""
        if done.held is None:
            return
        mine = done.held - {(run.id, run.attempt) for run, _ in done.adopted}
        for runner in runners:
            if (runner.run.id, runner.run.attempt) not in mine:
                runner.disown()
                self._runners.discard(runner)

    def _tell(self, agenda: CycleInput, done: CycleResult) -> None:
        new = list(accepted(agenda, done))
        self._report(*(news_of_accepted(*one) for one in new))
        for _, request, ids in new:
            for id_ in ids:
                self._cards.expect(id_, request.task)
        self._planner.tell(done.planned)
        for run in done.planned.made:
            self._cards.expect(run.id, run.task)
        self._report(*news_of_attempts(done))
        for _, run in done.ended:
            if run.state is State.FAILED:
                self.failed.add(run.id)
            elif run.state in ENDED:
                # It had failed before, and somebody has retried it.
                self.failed.discard(run.id)
        if done.ended or done.claimed or done.planned.made:
            self._folder.tell()
        if done.concerns_others:
            self._folder.ring()

    async def _collect(self, runner: Runner, see_through: Callable[[], Awaitable[Outcome]]) -> None:
        """Wait for a runner's outcome. Whatever goes wrong in there concerns that run alone."""
        try:
            outcome = await see_through()
        except Exception as error:
            why = f"aqueue could not see it through: {type(error).__name__}: {error}"
            # Its place is free now: nothing of it may go on.
            await runner.end()
            outcome = Outcome(run=runner.run, end=End.FAILED_TO_START, at=self._clock.now(), why=why)
        self._outcomes.append((runner, outcome))
        self._awake.set()
