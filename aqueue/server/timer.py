"""The timer: one task that sleeps until the next alarm."""

import math
from collections.abc import Awaitable, Callable, Sequence

import anyio

from aqueue.clock import Clock


class Alarm:
    """A callback that is due at some time.

    Args:
        moment: returns that time on the monotonic clock; infinity for never. It may change.
        ring: the callback. The alarm is off until it returns; then `moment` must return another time.
    """

    def __init__(self, moment: Callable[[], float], ring: Callable[[], Awaitable[None]]) -> None:
        self.moment = moment
        self.ring = ring
        self.is_ringing = False


class Timer:
    """The one task that sleeps for all alarms."""

    def __init__(self, clock: Clock, alarms: Sequence[Alarm]) -> None:
        self._clock = clock
        self._alarms = alarms
        self._wakes_at = -math.inf
        self._is_changed = anyio.Event()

    def reschedule(self) -> None:
        """Wake earlier if an alarm is now due earlier."""
        # An alarm that is now due later is noticed on waking.
        if self._first()[0] < self._wakes_at:
            self._is_changed.set()

    async def run(self) -> None:
        """Ring due alarms until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._is_changed = anyio.Event()
                self._wakes_at, alarm = self._first()
                left = self._wakes_at - self._clock.monotonic()
                if alarm is not None and left <= 0:
                    alarm.is_ringing = True
                    tasks.start_soon(self._ring, alarm)
                    continue
                with anyio.move_on_after(left):
                    await self._is_changed.wait()

    def _first(self) -> tuple[float, Alarm | None]:
        first, at = None, math.inf
        for alarm in self._alarms:
            if not alarm.is_ringing and (moment := alarm.moment()) < at:
                first, at = alarm, moment
        return at, first

    async def _ring(self, alarm: Alarm) -> None:
        await alarm.ring()
        alarm.is_ringing = False
        self.reschedule()


class Repeated(Alarm):
    """An alarm that repeats.

    Args:
        seconds: returns the interval.
    """

    def __init__(self, clock: Clock, seconds: Callable[[], float], ring: Callable[[], Awaitable[None]]) -> None:
        super().__init__(lambda: self._last + seconds(), self._ring)
        self._clock = clock
        self._do = ring
        self._last = clock.monotonic()

    def bring_forward(self) -> None:
        """Make it due now."""
        self._last = -math.inf

    async def _ring(self) -> None:
        self._last = self._clock.monotonic()
        await self._do()
        self._last = self._clock.monotonic()
