"""A monitor of the GPUs: reads them while a run waits for a reading, and keeps the latest."""

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
"""Seconds before busy GPUs are read again; the pause doubles each time."""

LONGEST_PAUSE: Final = 5.0
"""The longest pause in seconds between two readings of busy GPUs."""

WITHOUT_DRIVER: Final = 30.0
"""Seconds between two attempts to find a missing driver."""

PROMPT_SECONDS: Final = 0.5
"""Seconds for which slots are kept for a run that waits for a reading."""

IDLE_SECONDS: Final = 60.0
"""Seconds after the last reading for which the driver's library stays loaded."""


class GpuMonitor:
    """The readings of the GPUs for one server, taken as often as its runs need.

    Args:
        wake: is called when there is a new reading.
        report: receives warnings about runs that request GPUs which do not exist.
    """

    def __init__(self, gpus: Gpus, clock: Clock, wake: Callable[[], None], report: Report) -> None:
        self._gpus = gpus
        self._clock = clock
        self._wake = wake
        self._report = report
        self._accepted: dict[GpuRequest, list[tuple[int, str]]] = {}
        self._warned_of: set[int] = set()
        self._renewed_at = -math.inf
        self._is_reading = False
        self._is_loaded = False
        self._pause = FIRST_PAUSE
        self._read_at = -math.inf
        self._is_vetoed = False
        self._view = GpuView()
        self._asked_at = -math.inf

    @property
    def view(self) -> GpuView:
        """Return the latest readings."""
        is_prompt = not self._is_reading or self._clock.monotonic() - self._asked_at < PROMPT_SECONDS
        return self._view._replace(is_prompt=is_prompt)

    def expect(self, run: int, task: Task) -> None:
        """Remember an accepted run, to warn if it requests more GPUs than there are."""
        if task.gpu_request is not None:
            self._accepted.setdefault(task.gpu_request, []).append((run, task.name))

    def warn(self, reading: GpuReading | None, rules: Rules) -> None:
        """Report the accepted runs that request more than the machine has."""
        if reading is None or not self._accepted or not self._is_fresh(reading):
            return
        for gpu_request, runs in self._accepted.items():
            if why := never(gpu_request, reading, rules):
                (run, name), more = runs[0], len(runs) - 1
                which = f"run {run} {name}" + (f" (and {more} more like it)" if more else "")
                self._report(Notice(f"{which} {why}", urgent=True))
                self._warned_of.update(id_ for id_, _ in runs)
        self._accepted.clear()

    def follow(self, view: GpuView, result: ClaimResult, tasks: anyio.abc.TaskGroup) -> None:
        """Start a reading if the result of a claim needs one.

        Args:
            view: the view that the claim used.
            result: the result of the claim.
        """
        if view.reading is not self._view.reading:
            # A newer reading has arrived; the next claim uses it.
            return
        self._view = GpuView(result.reading, result.reading)
        self._is_vetoed = result.is_vetoed
        for run, why in result.lacking:
            if run not in self._warned_of and result.reading is not None and self._is_fresh(result.reading):
                self._warned_of.add(run)
                self._report(Notice(f"run {run} {why}", urgent=True))
        if not result.is_vetoed:
            self._pause = FIRST_PAUSE
        if not self._is_reading and (result.needs_reading or self.seconds_left() <= 0.0):
            self._is_reading = True
            self._asked_at = self._clock.monotonic()
            tasks.start_soon(self._read)

    def _is_fresh(self, reading: GpuReading) -> bool:
        return abs(self._clock.now() - reading.ended_at) <= FRESH_SECONDS

    def seconds_left(self) -> float:
        """Return the seconds until the next claim or reading is due."""
        if self._is_reading:
            # Then other runs may take the slots kept for a run that waits for the reading.
            left = self._asked_at + PROMPT_SECONDS - self._clock.monotonic()
            return left if left > 0 else math.inf
        if not self._is_vetoed:
            return math.inf
        return max(0.0, self._read_at + self._pause - self._clock.monotonic())

    @property
    def idle_at(self) -> float:
        """Return when, on the monotonic clock, the driver's library has been idle for `IDLE_SECONDS`.

        Infinity while the GPUs are read, and while the library is not loaded.
        """
        return self._read_at + IDLE_SECONDS if self._is_loaded and not self._is_reading else math.inf

    async def close_if_idle(self) -> None:
        """Unload the driver's library, if it is idle."""
        if self.idle_at <= self._clock.monotonic():
            self.close()

    def close(self) -> None:
        """Unload the driver's library; the next reading loads it again."""
        self._is_loaded = False
        self._gpus.close()

    async def _read(self) -> None:
        now = self._clock.monotonic()
        if now - self._renewed_at > WITHOUT_DRIVER:
            # A loaded library does not notice new GPUs, and keeps GPUs from being reset.
            if self._is_vetoed:
                self._gpus.close()
            self._renewed_at = now
        self._is_loaded = True
        try:
            reading = await self._gpus.read()
        finally:
            self._is_reading = False
        self._read_at = self._clock.monotonic()
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if reading.problem is not None:
            self._pause = WITHOUT_DRIVER
        self._view = GpuView(reading, self._view.reading, is_news=True)
        self._wake()
