"""Ctrl-C and SIGTERM, which a server counts."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import anyio
import anyio.abc


async def count_signals(react: Callable[[int], bool], *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Call `react` at each SIGINT and SIGTERM with their number so far, until it returns False."""
    with _deaf_afterwards(), anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        count = 0
        async for _ in signals:
            count += 1
            if not react(count):
                return


@contextlib.contextmanager
def _deaf_afterwards() -> Iterator[None]:
    """Once nobody listens any more the server is leaving anyway, and Ctrl-C must not tear it out of that."""
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
