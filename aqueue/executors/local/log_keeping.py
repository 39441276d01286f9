"""Have the log of an attempt keep to its limit, while the attempt goes on and once it is over; see `long_logs`."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from aqueue.executors import long_logs
from aqueue.executors.local import attempt_locks
from aqueue.threads import in_thread

PAUSE: Final = 1.0
"""Seconds between two looks at a log."""

_UNABLE: Final = "has a log.limit, but this file system cannot shorten a log before its run is over"


async def keep_within(limit: int, attempt: str, is_over: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Look at the log again and again.

    Args:
        limit: in bytes.
        attempt: the path of the attempt's files, without their suffixes.
        is_over: says whether to leave it alone from now on.
        tell: takes the words that say why nothing can be done.
    """
    log = attempt + ".log"
    while not is_over():
        try:
            if _is_longer(log, limit):
                await in_thread(partial(long_logs.trim, log, limit))
        except OSError as error:
            # Anything else may be over by the next look; a full disk, for instance.
            if error.errno in long_logs.UNSUPPORTED:
                tell(_UNABLE)
                return
        await anyio.sleep(PAUSE)


async def settle(limit: int, attempt: str) -> None:
    """Shorten the log for good, unless there is no room, or something that the attempt has left may write."""
    log = attempt + ".log"
    with contextlib.suppress(OSError):
        if _is_longer(log, limit) and not attempt_locks.is_held(attempt):
            await in_thread(partial(long_logs.settle, log, limit))


def _is_longer(log: str, limit: int) -> bool:
    return os.stat(log).st_size > limit  # noqa: PTH116 - a text already
