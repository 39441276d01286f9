"""The loop of a server: wake, one transaction, start the runs it claimed.

One transaction records what has arrived since the last cycle, such as files to accept and ended attempts, and
claims the runs that may start now (see `cycle`). So a run costs one commit, and many runs at once cost few. The
loop then starts the claimed runs, each as its own task (see `attempts`).
"""

import math
from collections.abc import Collection, Sequence
from functools import partial

import anyio
import anyio.abc
import msgspec

from aqueue.errors import BusyError, DiskFullError
from aqueue.executors.base import Executor
from aqueue.gpus.monitor import GpuMonitor
from aqueue.gpus.probe import Gpus
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.isolation.pins import Pins
from aqueue.model.events import Notice
from aqueue.model.outcome import Outcome
from aqueue.policy.limits import Limits
from aqueue.server.attempts import Attempts, RefusedError
from aqueue.server.code_keeper import CodeKeeper
from aqueue.server.context import Callbacks, Context
from aqueue.server.cycle import Cycle
from aqueue.server.cycle_input import CycleInput
from aqueue.server.cycle_result import CycleResult
from aqueue.server.cycle_timing import CycleTiming
from aqueue.server.deliveries import Deliveries, Delivery
from aqueue.server.headroom import DISK_FULL_PAUSE, Headroom
from aqueue.server.left_orders import LeftOrders
from aqueue.server.notifier import Notifier
from aqueue.server.pending_input import PendingInput
from aqueue.server.result_reporter import ResultReporter
from aqueue.server.schedules import Scheduler
from aqueue.server.slots import Slots
from aqueue.store.queues import Outlook

_NO_FILES = "the limit on open files allows {} runs at a time; raise `ulimit -n` and restart the server"


class Dispatcher:
    """The loop that starts runs on one server as capacity allows.

    Args:
        executor: starts claimed runs.
        pins: keeps the code of due runs.
    """

    def __init__(self, context: Context, callbacks: Callbacks, executor: Executor, pins: Pins) -> None:
        folder, database, server, clock, report = context
        self._callbacks = callbacks
        self._database = database
        self._executor = executor
        self._scheduler = Scheduler(folder, report)
        self._cycle = Cycle(folder, server, executor.name, self._scheduler, callbacks.check_liveness)
        self.slots = Slots()
        """The tokens that active attempts hold."""
        self._attempts = Attempts(executor, self.slots, clock, self._request_cycle)
        self._orders = LeftOrders(folder, server, self._attempts, callbacks.leave, report)
        self.gpus = GpuMonitor(Gpus(folder), clock, self._request_cycle, report)
        self._code = CodeKeeper(pins, self.wake, report)
        self._clock = clock
        self._report = report
        self._deliveries = Deliveries(self._request_cycle)
        self.notifier = Notifier(context, callbacks.targets, callbacks.after_cycle)
        self._pending = PendingInput(
            self._deliveries, self._attempts, self._orders, self._code, callbacks.targets, clock
        )
        self._reporter = ResultReporter(folder, self.gpus, self._scheduler, self.notifier, report)
        self._awake = anyio.Event()
        self._timing = CycleTiming(clock.now)
        self.next_at = math.inf
        """When the next cycle is due if no event comes before, on the monotonic clock."""
        self.is_draining = False
        """True if the server starts no more runs."""
        self._disk_is_full = False
        self._headroom = Headroom(executor.shortage, clock, report, callbacks.publish_shortage)
        self.idle_since: float | None = None
        """Since when the server is idle, on the monotonic clock; None while it is busy."""
        self.has_schedules = False

    @property
    def running(self) -> int:
        """Return how many attempts are active here, or ended but not yet recorded."""
        return len(self._attempts)

    @property
    def failed(self) -> Collection[int]:
        """Return the runs that failed on this server."""
        return self._reporter.failed

    def wake(self) -> None:
        """Request a cycle: the store changed or time passed."""
        self._pending.store_may_have_changed = True
        self._awake.set()

    async def resume(self) -> None:
        """Request the cycle that is due at `next_at`."""
        self.next_at = math.inf
        self._awake.set()

    def _request_cycle(self) -> None:
        self._awake.set()

    def beat(self) -> None:
        """Request a cycle that records a heartbeat and checks those of other servers."""
        self._pending.heartbeat_is_due = True
        self._awake.set()

    def drain(self) -> None:
        """Start no more runs."""
        self.is_draining = True
        self.wake()

    def begin_shutdown(self) -> None:
        """Count runs as lost if a signal ends them from now on: the machine may be going down."""
        self._attempts.begin_shutdown()

    def stop_runs(self, why: str) -> None:
        """Stop all active attempts."""
        self._attempts.stop(why)

    async def accept(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile]) -> Delivery:
        """Store claimed files and the contents of schedule files, unless the loop has ended."""
        return await self._deliveries.deliver(files, schedule_files)

    def start_schedules(self) -> None:
        """Make due runs from now on: every schedule file has been read."""
        self._scheduler.is_ready = True
        self.wake()

    async def run(self) -> None:
        """Dispatch until cancelled, or until drained and without active attempts."""
        try:
            await self._run()
        finally:
            self._deliveries.close()
            self._executor.close()
            self.gpus.close()

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                # Replaced before the cycle reads anything, so that an event during the cycle causes another.
                self._awake = anyio.Event()
                self.next_at = await self._do_cycle(tasks) + self._clock.monotonic()
                if self.is_draining and self._can_leave():
                    # Only attempts that other servers took over are left.
                    tasks.cancel_scope.cancel()
                    return
                self._callbacks.after_cycle()
                if not (self.is_draining or self._awake.is_set()):
                    self._executor.prepare()
                await self._awake.wait()

    def _can_leave(self) -> bool:
        if not self._attempts and not self._deliveries:
            return True
        return self._disk_is_full and self._orders.leave_outcomes_to_next_server()

    async def _do_cycle(self, tasks: anyio.abc.TaskGroup) -> float:
        """Run one transaction, act on its result, and return the seconds until the next cycle is due."""
        ended = self._attempts.take_ended()
        self._headroom.record_outcomes(ended, len(self._attempts) - len(ended))
        has_room = self._headroom.has_room()
        cycle_input = self._take_input(ended, has_room=has_room)
        try:
            do = partial(self._cycle.do, cycle_input)
            result = await self._database.write(do, is_small=cycle_input.is_small)
        except (DiskFullError, BusyError) as error:
            self._put_back(cycle_input, error)
            return DISK_FULL_PAUSE
        self._disk_is_full = False
        self._headroom.unblock()
        self._follow(cycle_input, result, tasks)
        return self._seconds_left() if has_room else DISK_FULL_PAUSE

    def _take_input(self, outcomes: Sequence[Outcome], *, has_room: bool) -> CycleInput:
        limits = self._callbacks.limits()
        max_runs = min(limits.runs, self._headroom.max_runs(len(self._attempts) - len(outcomes)))
        return self._pending.take(
            outcomes,
            msgspec.structs.replace(limits, runs=max_runs),
            self._timing,
            self.gpus.view if has_room else None,
            stays=not self.is_draining,
        )

    def _put_back(self, cycle_input: CycleInput, error: DiskFullError | BusyError) -> None:
        """Keep the input of a failed cycle, and carry out what cannot wait."""
        self._pending.put_back()
        self._disk_is_full = isinstance(error, DiskFullError)
        if self._disk_is_full:
            self._headroom.report_shortage(f"the disk is full ({error})")
        else:
            self._headroom.block(str(error))
            self._report(Notice(f"{error}; {error.hint}", urgent=True))
        self._orders.obey(cycle_input.orders)

    def _follow(self, cycle_input: CycleInput, result: CycleResult, tasks: anyio.abc.TaskGroup) -> None:
        """Act on the result of a cycle."""
        # First: another server takes longer to its next start than this one.
        self._reporter.ring_if_others_are_concerned(result)
        if cycle_input.orders:
            self._orders.confirm_recorded(cycle_input.orders)
        self._attempts.confirm_recorded()
        if result.own_attempts is not None:
            adopted = {(one.run.id, one.run.attempt) for one in result.adopted}
            self._attempts.keep_only(result.own_attempts - adopted)
        # Then the start: the time from a drop to it counts.
        self._start(cycle_input.limits, result, tasks)
        if cycle_input.gpu_view is not None:
            self._headroom.runs_started(len(self._attempts), cycle_input.limits.runs)
        if len(self._attempts) >= self._callbacks.limits().runs:
            self._headroom.block(_NO_FILES.format(len(self._attempts)))
        self._deliveries.answer(result)
        self._reporter.report(cycle_input, result)
        if cycle_input.gpu_view is not None and result.claim is not None:
            self.gpus.warn(result.claim.reading, self._callbacks.limits().rules)
            self.gpus.follow(cycle_input.gpu_view, result.claim, tasks)
        if result.liveness is not None:
            self._callbacks.clear_gone(result.liveness)
        for one in result.adopted:
            self._attempts.adopt(one.run, one.handle, one.boot, tasks)
        self._attempts.stop_some(dict(result.cancellations))
        if result.record is not None:
            self._callbacks.apply_record(result.record)
        self._code.forget(cycle_input.kept if cycle_input.makes_due_runs else {})
        self._code.keep(result.schedules.missing_code, cycle_input.now, tasks)
        self._follow_outlook(result.outlook)
        makes_runs = self._scheduler.is_ready and not self.is_draining
        self._timing.follow(result, makes_runs=makes_runs, keeps_code=self._code.is_awaited)

    def _start(self, limits: Limits, result: CycleResult, tasks: anyio.abc.TaskGroup) -> None:
        """Start the claimed runs; give back those without a token."""
        self.slots.resize(limits)
        for run in result.claimed:
            try:
                self._attempts.start(run, tasks, is_direct=run.direct and limits.disabled_by is not None)
            except RefusedError as error:
                if result.own_attempts is None:
                    # It may hold tokens of runs that others adopted while it slept. The next cycle checks that.
                    self._attempts.give_back(run, "")
                    self.beat()
                else:
                    self._attempts.give_back(run, str(error))

    def _follow_outlook(self, outlook: Outlook) -> None:
        if outlook.servers > 1:
            self._executor.others_are_serving()
        self.has_schedules = outlook.has_schedules
        if self._attempts or outlook.busy or outlook.has_missed:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = self._clock.monotonic()

    def _seconds_left(self) -> float:
        """Return the seconds until the next cycle if no event comes before; may be infinity."""
        left = self._timing.seconds_left(includes_stale_servers=not self.is_draining)
        if self.is_draining:
            return left
        return min(left, self.gpus.seconds_left(), self._headroom.seconds_left())
