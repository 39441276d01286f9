"""What happens because time passes: looking for missed changes, idle shutdown."""

import math
from collections.abc import Awaitable, Callable

import anyio

from aqueue.clock import Clock

RESCAN_SECONDS = 60.0
"""How often the whole folder is looked at, in case the kernel dropped a change."""


async def repeat(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again, each time so many seconds after the last."""
    while True:
        await anyio.sleep(seconds)
        await do()


async def until_idle(
    timeout: Callable[[], float | None], idle_since: Callable[[], float | None], clock: Clock
) -> None:
    """Wait until nothing has been queued or running for a while.

    Args:
        timeout: for how many seconds, as it is now; None: it does not matter how long.
        idle_since: since when that is so, on the monotonic clock; None while it is not.
    """
    while True:
        since, seconds = idle_since(), timeout()
        left = math.inf if since is None or seconds is None else since + seconds - clock.monotonic()
        if left <= 0:
            return
        longest = 1.0 if seconds is None or math.isinf(seconds) else min(max(seconds / 4, 0.01), 0.25)
        await anyio.sleep(min(left, longest))
