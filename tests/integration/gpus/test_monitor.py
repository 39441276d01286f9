"""When a server reads its GPUs: only while a run waits for that, and ever less often."""

import math
from collections.abc import Sequence

import anyio
import pytest

from aqueue.clock import Clock
from aqueue.folder.layout import Folder
from aqueue.gpus.monitor import (
    FIRST_PAUSE,
    IDLE_SECONDS,
    LONGEST_PAUSE,
    PROMPT_SECONDS,
    WITHOUT_DRIVER,
    GpuMonitor,
)
from aqueue.gpus.probe import Gpus
from aqueue.model.claim import ClaimResult, GpuView
from aqueue.model.config import Rules
from aqueue.model.events import Event, Notice
from aqueue.model.gpu import Gpu, GpuReading
from aqueue.model.task import Task
from tests.clock import SetClock
from tests.waiting import eventually_async

CARD = Gpu(key="GPU-0", index=0, total=1 << 30, free=1 << 30, processes=())


class Scripted(Gpus):
    """Sees what it is told to see."""

    def __init__(self, folder: Folder, clock: Clock) -> None:
        super().__init__(folder)
        self._clock = clock
        self.problem: str | None = None
        self.cards: Sequence[Gpu] = (CARD,)
        self.readings = 0
        self.closed = 0
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def read(self) -> GpuReading:
        self.readings += 1
        await self.may_answer.wait()
        return GpuReading(
            began_at=self._clock.now(),
            ended_at=self._clock.now(),
            gpus=() if self.problem else tuple(self.cards),
            problem=self.problem,
        )

    def close(self) -> None:
        self.closed += 1


class World:
    """A watch, and what a dispatcher would do with it."""

    def __init__(self, folder: Folder) -> None:
        self.clock = SetClock()
        self.gpus = Scripted(folder, self.clock)
        self.told: list[Event] = []
        self.woken = 0
        self.watch = GpuMonitor(self.gpus, self.clock, self._wake, self._tell)

    def _wake(self) -> None:
        self.woken += 1

    def _tell(self, *events: Event) -> None:
        self.told += events

    async def round(self, *, needs_reading: bool = False, is_vetoed: bool = False) -> int:
        """A round in which runs wait or not; returns how many readings there were after it."""
        before, view = self.gpus.readings, self.watch.view
        async with anyio.create_task_group() as tasks:
            taken = ClaimResult([], view.reading, needs_reading=needs_reading, is_vetoed=is_vetoed)
            self.watch.follow(view, taken, tasks)
        return self.gpus.readings - before


@pytest.fixture
def world(folder: Folder) -> World:
    return World(folder)


async def test_nobody_looks_while_no_run_waits_for_that(world: World) -> None:
    for _ in range(5):
        assert await world.round() == 0
        assert math.isinf(world.watch.seconds_left())
        world.clock.time += 3600
    assert world.watch.view == GpuView()


async def test_a_run_that_needs_a_look_gets_one_and_the_server_is_woken(world: World) -> None:
    assert await world.round(needs_reading=True) == 1
    assert world.woken == 1
    assert world.watch.view.is_news
    assert world.watch.view.reading == GpuReading(began_at=1000.0, ended_at=1000.0, gpus=(CARD,))
    assert await world.round() == 0
    assert not world.watch.view.is_news
    assert math.isinf(world.watch.seconds_left())


async def test_cards_that_stay_as_they_are_are_looked_at_less_and_less_often(world: World) -> None:
    await world.round(needs_reading=True)
    pauses = []
    for _ in range(10):
        assert await world.round(is_vetoed=True) == 0
        pauses.append(world.watch.seconds_left())
        world.clock.time += pauses[-1] / 2
        assert await world.round(is_vetoed=True) == 0
        world.clock.time += pauses[-1] / 2 + 1e-6
        assert await world.round(is_vetoed=True) == 1
    twice = [min(2 * FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(10)]
    assert pauses == pytest.approx(twice)
    world.clock.time += 3600
    assert await world.round() == 0
    assert math.isinf(world.watch.seconds_left())
    await world.round(needs_reading=True)
    await world.round(is_vetoed=True)
    assert world.watch.seconds_left() == pytest.approx(2 * FIRST_PAUSE)


async def test_a_run_that_waits_for_long_has_the_library_loaded_anew_which_may_know_of_more_cards(
    world: World,
) -> None:
    await world.round(needs_reading=True)
    for _ in range(7):
        world.clock.time += LONGEST_PAUSE + 1e-6
        await world.round(is_vetoed=True)
    assert (world.gpus.closed, world.gpus.readings) == (1, 8)


async def test_a_driver_that_is_not_there_is_looked_for_now_and_then(world: World) -> None:
    world.gpus.problem = "there is none"
    await world.round(needs_reading=True)
    for _ in range(3):
        assert await world.round(is_vetoed=True) == 0
        assert world.watch.seconds_left() == WITHOUT_DRIVER
        world.clock.time += WITHOUT_DRIVER
        assert await world.round(is_vetoed=True) == 1
    world.gpus.problem = None
    world.clock.time += WITHOUT_DRIVER
    await world.round(is_vetoed=True)
    assert world.watch.view.reading is not None and world.watch.view.reading.gpus == (CARD,)


async def test_nobody_looks_twice_at_once_and_what_was_decided_without_the_last_look_does_not_count(
    world: World,
) -> None:
    world.gpus.may_answer = anyio.Event()
    view = world.watch.view
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            world.watch.follow(world.watch.view, ClaimResult([], None, needs_reading=True), tasks)
            await eventually_async(lambda: world.gpus.readings == 1)
            assert world.watch.seconds_left() == pytest.approx(PROMPT_SECONDS)
            assert world.watch.view.is_prompt
        world.clock.time += PROMPT_SECONDS
        assert math.isinf(world.watch.seconds_left())
        assert not world.watch.view.is_prompt, "others would be kept waiting by a card that is sick"
        world.gpus.may_answer.set()
    assert world.gpus.readings == 1
    assert world.watch.view.is_news
    async with anyio.create_task_group() as tasks:
        world.watch.follow(view, ClaimResult([], None, needs_reading=True), tasks)
    assert world.gpus.readings == 1
    assert world.watch.view.is_news


async def test_the_library_is_let_go_of_when_nobody_has_needed_it_for_a_while(world: World) -> None:
    assert math.isinf(world.watch.idle_at), "it is not loaded"
    await world.round(needs_reading=True)
    assert world.watch.idle_at == world.clock.monotonic() + IDLE_SECONDS
    await world.watch.close_if_idle()
    assert world.gpus.closed == 0
    world.clock.time += IDLE_SECONDS
    await world.watch.close_if_idle()
    assert world.gpus.closed == 1
    assert math.isinf(world.watch.idle_at)
    await world.round(needs_reading=True)
    assert world.watch.idle_at == world.clock.monotonic() + IDLE_SECONDS


async def test_the_library_is_kept_while_somebody_looks(world: World) -> None:
    await world.round(needs_reading=True)
    world.gpus.may_answer = anyio.Event()
    async with anyio.create_task_group() as tasks:
        world.watch.follow(world.watch.view, ClaimResult([], None, needs_reading=True), tasks)
        await eventually_async(lambda: world.gpus.readings == 2)
        world.clock.time += 2 * IDLE_SECONDS
        assert math.isinf(world.watch.idle_at)
        await world.watch.close_if_idle()
        assert world.gpus.closed == 0
        world.gpus.may_answer.set()
    assert world.watch.idle_at == world.clock.monotonic() + IDLE_SECONDS


async def test_of_runs_that_ask_for_more_than_there_is_the_server_speaks_once(world: World) -> None:
    def task(name: str, count: int) -> Task:
        return Task(name=name, command="true", working_dir="/", gpus=count)

    for run in range(1, 4):
        world.watch.expect(run, task(f"t{run}", 2))
    world.watch.expect(4, task("t4", 1))
    world.watch.expect(5, Task(name="t5", command="true", working_dir="/"))
    world.watch.warn(world.watch.view.reading, Rules())
    assert world.told == []
    await world.round(needs_reading=True)
    for _ in range(2):
        world.watch.warn(world.watch.view.reading, Rules())
    (notice,) = world.told
    assert isinstance(notice, Notice) and notice.urgent
    assert "run 1 t1 (and 2 more like it) asks for 2 GPUs, but there is only 1" in notice.text
