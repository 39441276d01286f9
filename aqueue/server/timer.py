"""The timer: one task that sleeps until the next thing that time alone brings."""

import math
from collections.abc import Awaitable, Callable, Sequence

import anyio

from aqueue.clock import Clock


class Alarm:
    """Something that is due at a moment.

    Args:
        moment: returns when, on the monotonic clock; infinity for never. It is asked again and again.
        ring: is called then. Until it returns the alarm is off; afterwards its moment must be another.
    """

    def __init__(self, moment: Callable[[], float], ring: Callable[[], Awaitable[None]]) -> None:
        self.moment = moment
        self.ring = ring
        self.is_ringing = False


class Timer:
    """The one task that sleeps, on behalf of all that is due at some time."""

    def __init__(self, clock: Clock, alarms: Sequence[Alarm]) -> None:
        self._clock = clock
        self._alarms = alarms
        self._wakes_at = -math.inf
        self._is_changed = anyio.Event()

    def reschedule(self) -> None:
        """Wake earlier if a moment is earlier now."""
        # Those that are later now are found when it wakes.
        if self._first()[0] < self._wakes_at:
            self._is_changed.set()

    async def run(self) -> None:
        """Ring what is due, until cancelled."""
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
    """A thing that is done again and again.

    Args:
        seconds: returns how long after the last time.
    """

    def __init__(self, clock: Clock, seconds: Callable[[], float], ring: Callable[[], Awaitable[None]]) -> None:
        super().__init__(lambda: self._last + seconds(), self._ring)
        self._clock = clock
        self._do = ring
        self._last = clock.monotonic()

    def bring_forward(self) -> None:
        """Have it be due now."""
        self._last = -math.inf

    async def _ring(self) -> None:
        self._last = self._clock.monotonic()
        await self._do()
        self._last = self._clock.monotonic()
