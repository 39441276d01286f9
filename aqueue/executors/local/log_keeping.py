"""The limit on the log of an attempt, during the attempt and after it; see `long_logs`."""

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
"""The seconds between two checks of a log."""

_UNABLE: Final = "has a log.limit, but this file system cannot shorten a log before its run is over"


async def keep_within(limit: int, attempt: str, is_over: Callable[[], bool], warn: Callable[[str], None]) -> None:
    """Check the log regularly, and shorten it when it is too long.

    Args:
        limit: the limit in bytes.
        attempt: the path of the attempt's files, without their suffixes.
        is_over: returns True once the log is to be left alone.
        warn: is called with the reason if logs cannot be shortened here.
    """
    log = attempt + ".log"
    while not is_over():
        try:
            if _is_longer(log, limit):
                await in_thread(partial(long_logs.trim, log, limit))
        except OSError as error:
            # Other errors, such as a full disk, may be gone by the next check.
            if error.errno in long_logs.UNSUPPORTED:
                warn(_UNABLE)
                return
        await anyio.sleep(PAUSE)


async def settle(limit: int, attempt: str) -> None:
    """Shorten the log for good, unless the disk is full or a leftover process may still write to it."""
    log = attempt + ".log"
    with contextlib.suppress(OSError):
        if _is_longer(log, limit) and not attempt_locks.is_held(attempt):
            await in_thread(partial(long_logs.settle, log, limit))


def _is_longer(log: str, limit: int) -> bool:
    return os.stat(log).st_size > limit  # noqa: PTH116 - a text already
