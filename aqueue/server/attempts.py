"""The active attempts of a server: a task for each, which holds its tokens until its process group is gone."""

import signal
from collections.abc import Callable, Collection, Mapping
from typing import Final

import anyio
import anyio.abc

from aqueue.clock import Clock
from aqueue.executors.base import Attempt, Executor
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.policy.retry import lost_in_shutdown
from aqueue.server.slots import Slots
from aqueue.store.attempts import Handle

SHUTDOWN_SECONDS: Final = 0.5
"""The time that an ending machine needs to signal all processes, runs and servers."""


class RefusedError(Exception):
    """A claim gave this server a run for which it has no token."""

    def __init__(self, run: Run, what: str) -> None:
        super().__init__(
            f"run {run.id} was claimed although no slot of {what} is free here; this is a defect of aqueue"
        )


class Attempts:
    """The attempts of one server.

    Args:
        executor: starts and adopts them.
        slots: the tokens that the attempts hold.
        wake: is called when an attempt ends.
    """

    def __init__(self, executor: Executor, slots: Slots, clock: Clock, wake: Callable[[], None]) -> None:
        self._executor = executor
        self._slots = slots
        self._clock = clock
        self._wake = wake
        self._active: dict[object, Attempt] = {}
        """The active attempts, by the holder of their tokens."""
        self._without_handle: dict[object, Attempt] = {}
        """The active attempts whose handle is not in the store yet."""
        self._handles_in_cycle: list[object] = []
        self._shutdown = anyio.Event()
        self._ended: list[Outcome] = []
        self._ended_in_cycle: list[Outcome] = []

    def __len__(self) -> int:
        """Return how many attempts are active, or ended but not yet recorded."""
        return len(self._active) + len(self._ended) + len(self._ended_in_cycle)

    @property
    def active(self) -> int:
        """Return how many attempts are active."""
        return len(self._active)

    def take_ended(self) -> list[Outcome]:
        """Return the outcomes to record; they count in `len` until `confirm_recorded`."""
        self._ended_in_cycle, self._ended = self._ended, []
        return self._ended_in_cycle

    def take_handles(self) -> list[Handle]:
        """Return the handles to record."""
        known = [(holder, one) for holder, one in self._without_handle.items() if one.handle is not None]
        self._handles_in_cycle = [holder for holder, _ in known]
        return [Handle(one.handle or "", one.run.id, one.run.attempt) for _, one in known]

    def confirm_recorded(self) -> None:
        """Forget the outcomes and handles that were taken: they are recorded."""
        self._ended_in_cycle = []
        for holder in self._handles_in_cycle:
            self._without_handle.pop(holder, None)
        self._handles_in_cycle = []

    def put_back(self) -> None:
        """Keep the outcomes and handles that were taken: they could not be recorded."""
        self._ended = self._ended_in_cycle + self._ended
        self._ended_in_cycle = []

    @property
    def not_recorded(self) -> list[Outcome]:
        """Return the outcomes that no cycle has taken."""
        return self._ended

    def start(self, run: Run, tasks: anyio.abc.TaskGroup, *, is_direct: bool) -> None:
        """Start a claimed run and return at once.

        Args:
            is_direct: the run needs no slot of its queue.

        Raises:
            RefusedError: no token is free; nothing was started.
        """
        holder = object()
        if refused := self._slots.take(holder, run, is_direct=is_direct):
            raise RefusedError(run, refused)
        self._wait(self._executor.start(run), holder, tasks)

    def adopt(self, run: Run, handle: str | None, boot: str, tasks: anyio.abc.TaskGroup) -> None:
        """Take over an attempt of a server that is gone; see `Executor.adopt`."""
        holder = object()
        self._slots.take_anyway(holder, run)
        self._wait(self._executor.adopt(run, handle, boot), holder, tasks)
        if handle is not None:
            del self._without_handle[holder]

    def give_back(self, run: Run, why: str) -> None:
        """Record a claimed run as never started.

        Args:
            why: why no run can be started for now; empty if this one can be tried again at once.
        """
        self._has_ended(Outcome(run=run, end=End.NEVER_STARTED, at=self._clock.now(), why=why))

    def begin_shutdown(self) -> None:
        """Count attempts as lost if a signal ends them from now on: the machine may be going down."""
        self._shutdown.set()

    def stop(self, why: str) -> None:
        """Stop all attempts."""
        for attempt in self._active.values():
            attempt.stop(why)

    def stop_some(self, why: Mapping[int, str]) -> None:
        """Stop the attempts of some runs, each for the reason given."""
        for attempt in self._active.values():
            if attempt.run.id in why:
                attempt.stop(why[attempt.run.id])

    def keep_only(self, own_attempts: Collection[tuple[int, int]]) -> None:
        """Abandon the attempts that other servers took over while this one was suspended, even if queued again.

        Args:
            own_attempts: the run ids and attempt numbers that belong to this server according to the store.
        """
        for holder, attempt in list(self._active.items()):
            if (attempt.run.id, attempt.run.attempt) not in own_attempts:
                attempt.disown()
                del self._active[holder]
                self._without_handle.pop(holder, None)
                self._slots.give_back(holder)

    def _wait(self, attempt: Attempt, holder: object, tasks: anyio.abc.TaskGroup) -> None:
        self._active[holder] = self._without_handle[holder] = attempt
        tasks.start_soon(self._collect, attempt, holder)

    async def _collect(self, attempt: Attempt, holder: object) -> None:
        """Wait for an attempt's outcome. An error in it ends this run alone."""
        try:
            outcome = await attempt.outcome()
        except Exception as error:
            why = f"internal error while it ran: {type(error).__name__}: {error}"
            outcome = Outcome(run=attempt.run, end=End.FAILED_TO_START, at=self._clock.now(), why=why)
        outcome = await self._despite_shutdown(outcome)
        self._slots.give_back(holder)
        self._without_handle.pop(holder, None)
        if self._active.pop(holder, None) is not None:
            self._has_ended(outcome)

    async def _despite_shutdown(self, outcome: Outcome) -> Outcome:
        """Return an outcome as lost if a shutdown ended the attempt.

        A shutdown signals all processes at once: a run may have ended before this server gets its own signal.
        """
        lost = lost_in_shutdown(outcome, f"{outcome.why} while the server was told to stop")
        if lost is not outcome and outcome.signal != signal.SIGKILL:
            with anyio.move_on_after(SHUTDOWN_SECONDS):
                await self._shutdown.wait()
        return lost if self._shutdown.is_set() else outcome

    def _has_ended(self, outcome: Outcome) -> None:
        self._ended.append(outcome)
        self._wake()
