"""The attempts that go on in a server: a task for each, which holds its tokens until its process group is gone."""

from collections.abc import Callable, Collection, Mapping

import anyio.abc

from aqueue.clock import Clock
from aqueue.executors.base import Attempt, Executor
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.server.slots import Slots
from aqueue.store.attempts import Handle


class RefusedError(Exception):
    """A claim gave a run to this server for which it has no token."""

    def __init__(self, run: Run, what: str) -> None:
        super().__init__(
            f"run {run.id} was claimed although no slot of {what} is free here; this is a defect of aqueue"
        )


class Attempts:
    """The attempts of one server.

    Args:
        executor: starts and adopts them.
        slots: what the attempts hold tokens of.
        wake: is called when one is over.
    """

    def __init__(self, executor: Executor, slots: Slots, clock: Clock, wake: Callable[[], None]) -> None:
        self._executor = executor
        self._slots = slots
        self._clock = clock
        self._wake = wake
        self._going_on: dict[object, Attempt] = {}
        """By what holds their tokens."""
        self._without_handle: dict[object, Attempt] = {}
        """Those whose handle the store does not have yet."""
        self._being_noted: list[object] = []
        self._ended: list[Outcome] = []
        self._being_recorded: list[Outcome] = []

    def __len__(self) -> int:
        """Return how many go on, or are over but not yet recorded."""
        return len(self._going_on) + len(self._ended) + len(self._being_recorded)

    @property
    def going_on(self) -> int:
        """Return how many go on."""
        return len(self._going_on)

    def take_ended(self) -> list[Outcome]:
        """Return how those ended that are over, to be recorded; they count until that is done."""
        self._being_recorded, self._ended = self._ended, []
        return self._being_recorded

    def take_handles(self) -> list[Handle]:
        """Return the handles of attempts that go on, and which the store does not have yet."""
        known = [(holder, one) for holder, one in self._without_handle.items() if one.handle is not None]
        self._being_noted = [holder for holder, _ in known]
        return [Handle(one.handle or "", one.run.id, one.run.attempt) for _, one in known]

    def have_been_recorded(self) -> None:
        """Forget what was taken to be recorded."""
        self._being_recorded = []
        for holder in self._being_noted:
            self._without_handle.pop(holder, None)
        self._being_noted = []

    def put_back(self) -> None:
        """Keep what was taken and could not be recorded."""
        self._ended = self._being_recorded + self._ended
        self._being_recorded = []

    @property
    def not_recorded(self) -> list[Outcome]:
        """Return how those ended that are over, and are not being recorded."""
        return self._ended

    def start(self, run: Run, tasks: anyio.abc.TaskGroup, *, is_direct: bool) -> None:
        """Start a claimed run, and return at once.

        Args:
            is_direct: it does not have to wait for a slot of its queue.

        Raises:
            RefusedError: there is no token for it; nothing was started.
        """
        holder = object()
        if refused := self._slots.take(holder, run, is_direct=is_direct):
            raise RefusedError(run, refused)
        self._see_through(self._executor.start(run), holder, tasks)

    def adopt(self, run: Run, handle: str | None, boot: str, tasks: anyio.abc.TaskGroup) -> None:
        """See an attempt through that another server has left; see `Executor.adopt`."""
        holder = object()
        self._slots.take_anyway(holder, run)
        self._see_through(self._executor.adopt(run, handle, boot), holder, tasks)
        if handle is not None:
            del self._without_handle[holder]

    def give_back(self, run: Run, why: str) -> None:
        """Have a claimed run be recorded as never started.

        Args:
            why: nothing can be started for a while; empty if it can be tried at once.
        """
        self._has_ended(Outcome(run=run, end=End.NEVER_STARTED, at=self._clock.now(), why=why))

    def stop(self, why: str) -> None:
        """Stop all."""
        for attempt in self._going_on.values():
            attempt.stop(why)

    def stop_some(self, why: Mapping[int, str]) -> None:
        """Stop those of some runs, and say why of each."""
        for attempt in self._going_on.values():
            if attempt.run.id in why:
                attempt.stop(why[attempt.run.id])

    def keep_only(self, own_attempts: Collection[tuple[int, int]]) -> None:
        """Leave those alone that others took over while this server slept, even if they gave them back.

        Args:
            own_attempts: the runs that the store says this server has, with the numbers of their attempts.
        """
        for holder, attempt in list(self._going_on.items()):
            if (attempt.run.id, attempt.run.attempt) not in own_attempts:
                attempt.disown()
                del self._going_on[holder]
                self._without_handle.pop(holder, None)
                self._slots.give_back(holder)

    def _see_through(self, attempt: Attempt, holder: object, tasks: anyio.abc.TaskGroup) -> None:
        self._going_on[holder] = self._without_handle[holder] = attempt
        tasks.start_soon(self._collect, attempt, holder)

    async def _collect(self, attempt: Attempt, holder: object) -> None:
        """Wait for an attempt's outcome. Whatever goes wrong in there concerns that run alone."""
        try:
            outcome = await attempt.outcome()
        except Exception as error:
            why = f"aqueue could not see it through: {type(error).__name__}: {error}"
            outcome = Outcome(run=attempt.run, end=End.FAILED_TO_START, at=self._clock.now(), why=why)
        self._slots.give_back(holder)
        self._without_handle.pop(holder, None)
        if self._going_on.pop(holder, None) is not None:
            self._has_ended(outcome)

    def _has_ended(self, outcome: Outcome) -> None:
        self._ended.append(outcome)
        self._wake()
