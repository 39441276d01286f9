"""Threads for what would keep the event loop waiting, where the system may have none to give."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

_PAUSE: Final = 0.5
"""Seconds after which another thread is asked for."""

_SILENCE: Final = 60.0
"""Seconds without a shortage after which the next is told of."""


class NoThreadError(RuntimeError):
    """There are fewer threads to be had than are needed."""


class NeedsThreadError(Exception):
    """The event loop was about to do what may keep it waiting."""


def leave_event_loop() -> None:
    """Say that what follows may take long.

    Raises:
        NeedsThreadError: it is the event loop that would have to wait for it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise NeedsThreadError


class _Warning:
    """Tells that a thread has to be waited for; not for each of many who do."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._last_at = -math.inf

    def give(self) -> None:
        now = time.monotonic()
        if now - self._last_at >= _SILENCE:
            self._warn("cannot have a thread: what needs one waits until one can be had")
        self._last_at = now


_warning: ContextVar[_Warning | None] = ContextVar("_warning", default=None)


def warn_of_waiting(warn: Callable[[str], None]) -> None:
    """Have `warn` told once when this task, or one that it starts from now on, has to wait for a thread."""
    _warning.set(_Warning(warn))


async def have_threads(number: int) -> None:
    """Start so many threads, which are there for those that call `in_thread` within the next seconds.

    Raises:
        NoThreadError: there are not so many to be had.
    """
    limiter = anyio.CapacityLimiter(number)
    together = threading.Barrier(number)

    async def start() -> None:
        try:
            await anyio.to_thread.run_sync(together.wait, limiter=limiter)
        except RuntimeError:
            # "can't start new thread"; or another could not.
            together.abort()

    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(start)
    if together.broken:
        raise NoThreadError


async def in_thread(
    function: Callable[[], T], *, abandon_on_cancel: bool = False, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Call a function in a worker thread; where none can be had, wait until one can.

    A user may have only so many processes, and each thread counts as one.

    Args:
        abandon_on_cancel, limiter: as of `anyio.to_thread.run_sync`.

    Raises:
        what the function raises.
    """
    has_begun = False

    def call() -> T:
        nonlocal has_begun
        has_begun = True
        return function()

    while True:
        try:
            return await anyio.to_thread.run_sync(call, abandon_on_cancel=abandon_on_cancel, limiter=limiter)
        except RuntimeError:
            # "can't start new thread"
            if has_begun:
                raise
        if (warning := _warning.get()) is not None:
            warning.give()
        await anyio.sleep(_PAUSE)


async def without_waiting(function: Callable[[], T]) -> T:
    """Call a function in the event loop; or in a worker thread, if it says that it may take long.

    Args:
        function: calls `leave_event_loop` before it does what it could not do a second time.

    Raises:
        what the function raises.
    """
    try:
        return function()
    except NeedsThreadError:
        return await in_thread(function)
