"""The attempts that go on in a server: a task for each, which holds its tokens until its process group is gone."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

import anyio.abc

from aqueue.clock import Clock
from aqueue.executors.local.runner import Runner
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.server.slots import Slots

Ended = Sequence[tuple[Runner, Outcome]]
"""Attempts that are over, and how each ended."""


class Attempts:
    """What one server runs.

    Args:
        new_runner: makes the runner of a claimed run.
        slots: what the attempts hold tokens of.
        wake: is called when one is over.
    """

    def __init__(
        self, new_runner: Callable[[Run], Runner], slots: Slots, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._new_runner = new_runner
        self._slots = slots
        self._clock = clock
        self._wake = wake
        self._known: set[Runner] = set()
        self._ended: list[tuple[Runner, Outcome]] = []

    def __len__(self) -> int:
        """Return how many go on, or are over but not yet recorded."""
        return len(self._known)

    @property
    def are_over(self) -> bool:
        """Return True if none goes on; of some it may not be recorded yet how they ended."""
        return not self._known - {runner for runner, _ in self._ended}

    def take_ended(self) -> Ended:
        """Return those that are over, to be recorded."""
        ended, self._ended = self._ended, []
        return ended

    def put_back(self, ended: Ended) -> None:
        """Keep attempts whose ends could not be recorded yet."""
        self._ended = [*ended, *self._ended]

    def forget(self, ended: Ended) -> None:
        """Forget attempts whose ends are recorded."""
        self._known.difference_update(runner for runner, _ in ended)

    def ends_not_recorded(self) -> list[Outcome]:
        """Return how those ended that are over."""
        return [outcome for _, outcome in self._ended]

    def start(self, run: Run, tasks: anyio.abc.TaskGroup, *, is_direct: bool) -> bool:
        """Start a claimed run, and return at once.

        Args:
            is_direct: it does not have to wait for a slot of its queue.

        Returns:
            whether there is a process.

        Raises:
            RefusedError: there is no token for it; nothing was started.
        """
        runner = self._new_runner(run)
        if refused := self._slots.take(runner, run, is_direct=is_direct):
            raise RefusedError(run, refused)
        self._add(runner)
        has_process = runner.launch()
        tasks.start_soon(self._collect, runner, runner.see_through)
        return has_process

    def adopt(self, run: Run, its_boot: str, tasks: anyio.abc.TaskGroup) -> None:
        """See an attempt through that another server has left."""
        runner = self._new_runner(run)
        self._slots.take_anyway(runner, run)
        self._add(runner)
        tasks.start_soon(self._collect, runner, partial(runner.adopt, its_boot))

    def give_back(self, run: Run, why: str) -> None:
        """Have a claimed run be recorded as never started.

        Args:
            why: nothing can be started for a while; empty if it can be tried at once.
        """
        runner = self._new_runner(run)
        self._known.add(runner)
        self._has_ended(runner, Outcome(run=run, end=End.NEVER_STARTED, at=self._clock.now(), why=why))

    def stop(self, why: str) -> None:
        """Stop all."""
        for runner in self._known:
            runner.stop(why)

    def stop_some(self, why: Mapping[int, str]) -> None:
        """Stop those of some runs, and say why of each."""
        for runner in self._known:
            if runner.run.id in why:
                runner.stop(why[runner.run.id])

    def keep_only(self, held: Collection[tuple[int, int]]) -> None:
        """Leave those alone that others took over while this server slept, even if they gave them back.

        Args:
            held: the runs that the store says this server has, with the numbers of their attempts.
        """
        ended = {runner for runner, _ in self._ended}
        for runner in self._known - ended:
            if (runner.run.id, runner.run.attempt) not in held:
                runner.disown()
                self._known.discard(runner)
                self._slots.give_back(runner)

    def have_company(self) -> None:
        """Take note that other servers run something, nobody knows where."""
        for runner in self._known:
            runner.has_company = True

    def _add(self, runner: Runner) -> None:
        for other in self._known:
            if other.working_dir == runner.working_dir is not None:
                other.has_company = runner.has_company = True
        self._known.add(runner)

    async def _collect(self, runner: Runner, see_through: Callable[[], Awaitable[Outcome]]) -> None:
        """Wait for a runner's outcome. Whatever goes wrong in there concerns that run alone."""
        try:
            outcome = await see_through()
        except Exception as error:
            why = f"aqueue could not see it through: {type(error).__name__}: {error}"
            # Its place is free now: nothing of it may go on.
            await runner.end()
            outcome = Outcome(run=runner.run, end=End.FAILED_TO_START, at=self._clock.now(), why=why)
        self._slots.give_back(runner)
        self._has_ended(runner, outcome)

    def _has_ended(self, runner: Runner, outcome: Outcome) -> None:
        self._ended.append((runner, outcome))
        self._wake()


class RefusedError(Exception):
    """A claim gave a run to this server for which it has no token."""

    def __init__(self, run: Run, what: str) -> None:
        super().__init__(
            f"run {run.id} was claimed although no slot of {what} is free here; this is a defect of aqueue"
        )
        self.run = run
