"""The timer: it wakes for what is due, and for nothing else."""

import math
from collections.abc import Callable

import anyio

from aqueue.clock import Clock
from aqueue.server.timer import Alarm, Repeated, Timer
from tests.waiting import eventually_async


class Rings:
    """Alarms that note when they ring."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.heard: list[str] = []
        self.moments: dict[str, float] = {}

    def alarm(self, name: str, after: float = math.inf) -> Alarm:
        self.moments[name] = self.clock.monotonic() + after

        async def ring() -> None:
            self.heard.append(name)
            self.moments[name] = math.inf

        return Alarm(lambda: self.moments[name], ring)


async def run(timer: Timer, until: Callable[[], bool]) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(timer.run)
        await eventually_async(until)
        tasks.cancel_scope.cancel()


async def test_alarms_ring_in_the_order_of_their_moments() -> None:
    rings = Rings()
    timer = Timer(rings.clock, [rings.alarm("late", 0.05), rings.alarm("soon", 0.01), rings.alarm("never")])
    await run(timer, lambda: len(rings.heard) == 2)
    assert rings.heard == ["soon", "late"]


async def test_a_moment_that_is_earlier_now_is_heeded_and_one_that_is_later_rings_then_only() -> None:
    rings = Rings()
    timer = Timer(rings.clock, [rings.alarm("earlier", 3600.0), rings.alarm("later", 0.05)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(timer.run)
        await anyio.sleep(0.01)
        rings.moments["later"] = math.inf
        timer.reschedule()
        rings.moments["earlier"] = rings.clock.monotonic() + 0.1
        timer.reschedule()
        await eventually_async(lambda: rings.heard)
        tasks.cancel_scope.cancel()
    assert rings.heard == ["earlier"]


async def test_an_alarm_that_takes_long_keeps_no_other_from_ringing() -> None:
    rings = Rings()

    async def take_long() -> None:
        rings.heard.append("long")
        await anyio.sleep_forever()

    long = Alarm(lambda: -math.inf, take_long)
    timer = Timer(rings.clock, [long, rings.alarm("other", 0.05)])
    await run(timer, lambda: "other" in rings.heard)
    assert rings.heard == ["long", "other"]


async def test_what_is_repeated_is_done_again_and_again_and_at_once_if_it_is_brought_forward() -> None:
    clock, done, seconds = Clock(), [], [3600.0]

    async def do() -> None:
        done.append(clock.monotonic())

    repeated = Repeated(clock, lambda: seconds[0], do)
    timer = Timer(clock, [repeated])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(timer.run)
        await anyio.sleep(0.02)
        assert not done
        seconds[0] = 0.05
        repeated.bring_forward()
        timer.reschedule()
        await eventually_async(lambda: len(done) >= 3)
        tasks.cancel_scope.cancel()
    assert done[2] - done[1] >= 0.05
