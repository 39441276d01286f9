"""Threads for work that would block the event loop, on systems that may refuse to start one."""

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

_RETRY_SECONDS: Final = 0.5
"""Seconds before another attempt to start a thread."""

_QUIET_SECONDS: Final = 60.0
"""Seconds without a shortage after which the next one is reported."""


class NoThreadError(RuntimeError):
    """The system cannot start as many threads as are needed."""


class NeedsThreadError(Exception):
    """The event loop was about to run something that may block it."""


def leave_event_loop() -> None:
    """Declare that the following code may take long.

    Raises:
        NeedsThreadError: it is running in the event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise NeedsThreadError


class _Warning:
    """A warning about a wait for a thread, shown once for many that wait."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._last_at = -math.inf

    def show(self) -> None:
        now = time.monotonic()
        if now - self._last_at >= _QUIET_SECONDS:
            self._warn("cannot start a thread; work waits until one can be started; see `ulimit -u`")
        self._last_at = now


_warning: ContextVar[_Warning | None] = ContextVar("_warning", default=None)


def warn_of_waiting(warn: Callable[[str], None]) -> None:
    """Call `warn` once when this task, or one it starts from now on, has to wait for a thread."""
    _warning.set(_Warning(warn))


async def start_threads(number: int) -> None:
    """Start threads that are ready for calls of `in_thread` within the next seconds.

    Raises:
        NoThreadError: the system cannot start that many.
    """
    limiter = anyio.CapacityLimiter(number)
    together = threading.Barrier(number)

    async def start() -> None:
        try:
            await anyio.to_thread.run_sync(together.wait, limiter=limiter)
        except RuntimeError:
            # "can't start new thread", here or in another task.
            together.abort()

    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(start)
    if together.broken:
        raise NoThreadError


async def in_thread(
    function: Callable[[], T], *, abandon_on_cancel: bool = False, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Call a function in a worker thread; if none can be started, wait until one can.

    The system limits the number of a user's processes, and each thread counts as one.

    Args:
        abandon_on_cancel, limiter: as for `anyio.to_thread.run_sync`.

    Raises:
        any exception of the function.
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
            warning.show()
        await anyio.sleep(_RETRY_SECONDS)


async def without_waiting(function: Callable[[], T]) -> T:
    """Call a function in the event loop, and again in a worker thread if it needs one.

    Args:
        function: calls `leave_event_loop` before its first step that must not be repeated.

    Raises:
        any exception of the function.
    """
    try:
        return function()
    except NeedsThreadError:
        return await in_thread(function)
