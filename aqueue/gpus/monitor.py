"""A monitor of the GPUs: reads them while a run waits for that, and keeps the last reading."""

import math
from collections.abc import Callable
from typing import Final

import anyio.abc

from aqueue.clock import Clock
from aqueue.gpus.probe import Gpus
from aqueue.model.claim import ClaimResult, GpuView
from aqueue.model.config import Rules
from aqueue.model.events import Notice, Report
from aqueue.model.gpu import GpuReading, GpuRequest
from aqueue.model.task import Task
from aqueue.policy.gpu_placement import FRESH_SECONDS
from aqueue.policy.gpu_supply import never

FIRST_PAUSE: Final = 0.1
"""Seconds after which a GPU that was not free is looked at again; then twice as many, and so on."""

LONGEST_PAUSE: Final = 5.0
"""Seconds between two looks at GPUs that stay as they are."""

WITHOUT_DRIVER: Final = 30.0
"""Seconds after which a driver that was not there is looked for again."""

PROMPT_SECONDS: Final = 0.5
"""The time that a look may take while slots are kept for the run that needs it."""

IDLE_SECONDS: Final = 60.0
"""For how long after a look the driver's library is kept."""


class GpuMonitor:
    """Looks at the GPUs for one server, as often as its runs need.

    Args:
        wake: is called when there is something new to see.
        report: is told of runs that ask for what there is not.
    """

    def __init__(self, gpus: Gpus, clock: Clock, wake: Callable[[], None], report: Report) -> None:
        self._gpus = gpus
        self._clock = clock
        self._wake = wake
        self._report = report
        self._accepted: dict[GpuRequest, list[tuple[int, str]]] = {}
        self._warned_of: set[int] = set()
        self._renewed_at = -math.inf
        self._is_looking = False
        self._pause = FIRST_PAUSE
        self._looked_at = -math.inf
        self._is_vetoed = False
        self._sight = GpuView()
        self._asked_at = -math.inf

    @property
    def sight(self) -> GpuView:
        """Return what was seen last."""
        is_prompt = not self._is_looking or self._clock.monotonic() - self._asked_at < PROMPT_SECONDS
        return self._sight._replace(is_prompt=is_prompt)

    def expect(self, run: int, task: Task) -> None:
        """Remember an accepted run, to report it if it asks for more GPUs than there are."""
        if task.demand is not None:
            self._accepted.setdefault(task.demand, []).append((run, task.name))

    def warn(self, look: GpuReading | None, rules: Rules) -> None:
        """Say which of the accepted runs ask for more than there is."""
        if look is None or not self._accepted or not self._is_fresh(look):
            return
        for demand, runs in self._accepted.items():
            if why := never(demand, look, rules):
                (run, name), more = runs[0], len(runs) - 1
                which = f"run {run} {name}" + (f" (and {more} more like it)" if more else "")
                self._report(Notice(f"{which} {why}", urgent=True))
                self._warned_of.update(id_ for id_, _ in runs)
        self._accepted.clear()

    def follow(self, sight: GpuView, taken: ClaimResult, tasks: anyio.abc.TaskGroup) -> None:
        """See to it that there is a look when one is needed.

        Args:
            sight: by which runs were started.
            taken: what came of it.
        """
        if sight.look is not self._sight.look:
            # There was another look meanwhile, which will tell more.
            return
        self._sight = GpuView(taken.look, taken.look)
        self._is_vetoed = taken.is_vetoed
        for run, why in taken.lacking:
            if run not in self._warned_of and taken.look is not None and self._is_fresh(taken.look):
                self._warned_of.add(run)
                self._report(Notice(f"run {run} {why}", urgent=True))
        if not taken.is_vetoed:
            self._pause = FIRST_PAUSE
        if not self._is_looking and (taken.needs_look or self.seconds_left() <= 0.0):
            self._is_looking = True
            self._asked_at = self._clock.monotonic()
            tasks.start_soon(self._look)

    def _is_fresh(self, look: GpuReading) -> bool:
        return abs(self._clock.now() - look.ended_at) <= FRESH_SECONDS

    def seconds_left(self) -> float:
        """Return for how long there is nothing to do here."""
        if self._is_looking:
            # Those that kept out of the way of a run that needs the look are not kept for longer.
            left = self._asked_at + PROMPT_SECONDS - self._clock.monotonic()
            return left if left > 0 else math.inf
        if not self._is_vetoed:
            return math.inf
        return max(0.0, self._looked_at + self._pause - self._clock.monotonic())

    async def close_when_idle(self) -> None:
        """Let go of the driver's library whenever nobody has needed it for a while; until cancelled."""
        try:
            while True:
                left = self._looked_at + IDLE_SECONDS - self._clock.monotonic()
                await anyio.sleep(IDLE_SECONDS if left <= 0 else left)
                if self._looked_at + IDLE_SECONDS <= self._clock.monotonic() and not self._is_looking:
                    self._gpus.close()
        finally:
            self._gpus.close()

    async def _look(self) -> None:
        now = self._clock.monotonic()
        if now - self._renewed_at > WITHOUT_DRIVER:
            # The library knows only the GPUs that were there when it was loaded, and keeps them from being reset.
            if self._is_vetoed:
                self._gpus.close()
            self._renewed_at = now
        try:
            look = await self._gpus.look()
        finally:
            self._is_looking = False
        self._looked_at = self._clock.monotonic()
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if look.problem is not None:
            self._pause = WITHOUT_DRIVER
        self._sight = GpuView(look, self._sight.look, is_news=True)
        self._wake()
