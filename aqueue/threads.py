"""Threads for what would keep the event loop waiting, where the system may have none to give."""

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

_PAUSE: Final = 0.5
"""Seconds after which another thread is asked for."""


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
        await anyio.sleep(_PAUSE)
