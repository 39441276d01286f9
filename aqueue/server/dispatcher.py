"""Wake → one transaction → start what it gave.

All that happens to runs in this server goes through one loop. Whatever has come together since the last round,
files to accept and attempts that are over, is recorded in one transaction, and the same transaction claims the
runs that may start now (see `cycle`). So a run costs one commit, and many runs at once cost few. They are started
right after it; seeing them through is left to a task for each (see `attempts`).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import anyio.abc
import msgspec

from aqueue.clock import Clock, boot
from aqueue.errors import BusyError, DiskFullError
from aqueue.executors.base import Executor
from aqueue.folder.layout import Folder
from aqueue.gpus.monitor import GpuMonitor
from aqueue.gpus.probe import Gpus
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.isolation.pins import Pins
from aqueue.model.claim import GpuView
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import ENDED, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.server.attempts import Attempts, RefusedError
from aqueue.server.code_keeper import CodeKeeper
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
from aqueue.server.headroom import DISK_FULL_PAUSE, Headroom
from aqueue.server.schedules import Planner
from aqueue.server.slots import Slots
from aqueue.store.orders import Cancel, Leave, Order, OrderFile
from aqueue.store.queues import Outlook
from aqueue.store.server_database import Database
from aqueue.store.servers import SET_SECONDS

_NO_FILES = "{} runs are all that this server may have files open for; `ulimit -n` says how many, before it starts"


_CODE_SECONDS = 0.25
"""After how many seconds to see to other schedules while code is being kept."""


class Dispatcher:
    """Starts runs as capacity allows, for one server.

    Args:
        server: the server's id.
        limits: asked anew in each round.
        call_roll: tells the servers that give a sign of life from those that are gone; it changes nothing.
        bury: clears away what is left of servers, once the store has forgotten them.
        executor: starts claimed runs.
        slots: what each run holds tokens of while it goes on.
        meet_others: is called while other servers are up, whose runs are nobody knows where.
        rested: is called after each round, when it may be due at another moment.
        planner: looks after schedules.
        pins: keep the code of what is due.
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
        executor: Executor,
        slots: Slots,
        meet_others: Callable[[], None],
        rested: Callable[[], None],
        planner: Planner,
        pins: Pins,
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
        self._rounds = Cycle(folder, server, executor.name, planner, call_roll)
        self._bury = bury
        self._limits = limits
        self._slots = slots
        self._rested = rested
        self._meet_others = meet_others
        self._attempts = Attempts(executor, slots, clock, self._look_around)
        self._planner = planner
        self._code = CodeKeeper(pins, self.wake, report)
        self._take_orders = take_orders
        self._clock = clock
        self._report = report
        self._deliveries: list[Delivery] = []
        self._unanswered: set[Delivery] = set()
        self._is_over = False
        self._awake = anyio.Event()
        self._rung = False
        self._beat_is_due = True
        self._has_company = False
        self._plan_at = 0.0
        self._stale_at = math.inf
        self.next_at = math.inf
        """When, on the monotonic clock, the next round is due if nothing happens before."""
        self._ahead = clock.ahead()
        self.is_draining = False
        """True if it starts nothing more."""
        self._is_full = False
        self._room = Headroom(executor.shortage, clock, report, tell)
        self._gpus = GpuMonitor(gpus, clock, self._look_around, report)
        self.idle_since: float | None = None
        self.has_schedules = False
        self.failed: set[int] = set()
        """The runs that came to their end here and have failed."""

    @property
    def running(self) -> int:
        """Return how many attempts are going on here, or are over but not yet recorded."""
        return len(self._attempts)

    def wake(self) -> None:
        """Have it look around: somebody else has changed the store, or time has passed."""
        self._rung = True
        self._awake.set()

    async def resume(self) -> None:
        """Have it go on: the moment has come that it was waiting for."""
        self.next_at = math.inf
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
        self._attempts.stop(why)

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
            tasks.start_soon(self._gpus.close_when_idle)
            while True:
                self._awake = anyio.Event()
                pause = await self._round(tasks)
                self.next_at = self._clock.monotonic() + pause
                if self.is_draining and not self._attempts and not self._deliveries:
                    # What is left are attempts that others see through now.
                    tasks.cancel_scope.cancel()
                    return
                if self.is_draining and self._is_full and self._leave_to_next():
                    tasks.cancel_scope.cancel()
                    return
                self._rested()
                await self._awake.wait()

    async def _round(self, tasks: anyio.abc.TaskGroup) -> float:
        """One transaction and what follows from it.

        Returns:
            for how many seconds at most to wait for the next; infinity: until there is something to do.
        """
        deliveries, self._deliveries = self._deliveries, []
        ended = self._attempts.take_ended()
        sight = self._gpus.sight
        self._room.look_back(ended, len(self._attempts) - len(ended))
        has_room = self._room.has_room()
        agenda = self._agenda(deliveries, ended, sight if has_room else None)
        try:
            done = await self._database.write(partial(self._rounds.do, agenda), is_small=agenda.is_small)
        except (DiskFullError, BusyError) as error:
            self._deliveries = deliveries + self._deliveries
            self._attempts.put_back()
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
        self._attempts.have_been_recorded()
        if done.held is not None:
            self._attempts.keep_only(done.held - {(one.run.id, one.run.attempt) for one in done.adopted})
        # Before anything else: whoever dropped a file is waiting for this.
        self._start(agenda.limits, done, tasks)
        if agenda.sight is not None:
            self._room.has_started(len(self._attempts), agenda.limits.runs)
        if len(self._attempts) >= self._limits().runs:
            self._room.is_hindered(_NO_FILES.format(len(self._attempts)))
        answer(deliveries, done)
        self._unanswered.difference_update(deliveries)
        self._tell(agenda, done)
        if done.taken is not None:
            self._gpus.warn(done.taken.look, self._limits().rules)
            self._gpus.follow(sight, done.taken, tasks)
        if done.roll_call is not None:
            self._bury(done.roll_call)
            self._stale_at = done.roll_call.stale_at
        for one in done.adopted:
            self._attempts.adopt(one.run, one.handle, one.boot, tasks)
        self._attempts.stop_some(dict(done.cancellations))
        if done.record is not None:
            self._take_orders(done.record)
        self._code.forget(agenda.kept if agenda.making else {})
        self._code.keep(done.planned.lacking, agenda.now, tasks)
        self._look_out(done.outlook)
        return self._until_next(done.outlook) if has_room else DISK_FULL_PAUSE

    def _agenda(
        self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome], sight: GpuView | None
    ) -> CycleInput:
        """Return the input of the next cycle. A server that leaves makes and starts nothing."""
        now, stays, limits = self._clock.now(), not self.is_draining, self._limits()
        most = min(limits.runs, self._room.most_runs(len(self._attempts) - len(outcomes)))
        rung, self._rung = self._rung, False
        beating, self._beat_is_due = self._beat_is_due, False
        return CycleInput(
            files=[file for one in deliveries for file in one.files],
            schedule_files=[file for one in deliveries for file in one.schedule_files] if stays else (),
            outcomes=outcomes,
            handles=self._attempts.take_handles(),
            limits=msgspec.structs.replace(limits, runs=most),
            now=now,
            clock_was_set=self._set_clock(),
            sight=sight if stays else None,
            rung=rung,
            beating=beating,
            making=stays and (rung or beating or self._plan_at <= now),
            kept=self._code.kept,
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

    def _obey_orders(self, orders: Sequence[Order]) -> None:
        """Do what people want, although it cannot be recorded yet."""
        for order in orders:
            if isinstance(order, Leave):
                if order.server == self._server:
                    self._leave(order.leaving)
            else:
                self._attempts.stop_some({order.run: order.reason})

    def _leave_to_next(self) -> bool:
        """Leave it to the next server to record the ends of attempts, for which the disk has no room.

        Returns:
            False if an attempt goes on, or its end could not be told later.
        """
        if self._attempts.going_on:
            return False
        stopped = [outcome for outcome in self._attempts.not_recorded if outcome.end is End.STOPPED]
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
            self._meet_others()
        self.has_schedules = outlook.has_schedules
        if self._attempts or outlook.busy or outlook.has_missed:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = self._clock.monotonic()

    def _until_next(self, outlook: Outlook) -> float:
        """Return for how many seconds there is nothing to do; infinity: until somebody says otherwise."""
        self._plan_at = math.inf
        if self._planner.is_ready and not self.is_draining:
            self._plan_at = (
                0.0 if outlook.has_missed else math.inf if outlook.next_due is None else outlook.next_due
            )
        if self._code.is_awaited:
            # What waits for it is due all the time, and its being there is told.
            self._plan_at = max(self._plan_at, self._clock.now() + _CODE_SECONDS)
        moment = min(self._plan_at, math.inf if outlook.next_ready is None else outlook.next_ready)
        if self._has_company and not self.is_draining:
            moment = min(moment, self._stale_at)
        pause = max(0.0, moment - self._clock.now())
        if self.is_draining:
            return pause
        return min(pause, self._gpus.seconds_left(), self._room.seconds_left())

    def _start(self, limits: Limits, done: CycleResult, tasks: anyio.abc.TaskGroup) -> None:
        """Start what was claimed, as far as there are tokens for it."""
        self._slots.resize(limits)
        for run in done.claimed:
            try:
                self._attempts.start(run, tasks, is_direct=run.direct and limits.disabled_by is not None)
            except RefusedError as error:
                if done.held is None:
                    # It may have slept, and have tokens for what others took over. The next round asks for that.
                    self._attempts.give_back(run, "")
                    self.beat()
                else:
                    self._attempts.give_back(run, str(error))

    def _tell(self, agenda: CycleInput, done: CycleResult) -> None:
        new = list(accepted(agenda, done))
        self._report(*(news_of_accepted(*one) for one in new))
        for one in (*(one for _, one in new), *(made.accepted for made in done.planned.made)):
            for id_ in one.run_ids:
                self._gpus.expect(id_, one.submission.task)
        self._planner.tell(done.planned)
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
