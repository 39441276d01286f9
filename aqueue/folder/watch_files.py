"""A wait for changes to a few files, for who has no event loop."""

import select
import time
from collections.abc import Callable
from typing import Final

from aqueue.folder.doorbell import Doorbell
from aqueue.folder.polling import Poll

_STEP: Final = 25
"""Milliseconds between two looks."""


def watch_files(paths: list[str]) -> Callable[[float], None]:
    """Watch a few files for changes; look at them once a second where the kernel gives out no watch.

    Args:
        paths: files that exist.

    Returns:
        a function that waits for the next change since it was called last, for so many seconds at most: a change
        that was missed is noticed then.
    """
    for way in (_rung, _asking):
        try:
            return way(paths)
        except OSError:
            continue
    return _looking(paths)


def _rung(paths: list[str]) -> Callable[[float], None]:
    bell = Doorbell(paths)

    def wait(seconds: float) -> None:
        if select.select([bell], [], [], max(seconds, 0))[0]:
            bell.quieten()

    return wait


def _asking(paths: list[str]) -> Callable[[float], None]:
    """Ask watchfiles, where the kernel has no inotify."""
    from aqueue.folder.watcher import Watcher

    watcher = Watcher(paths, step=_STEP, timeout=2 * _STEP)

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while not watcher.ask() and time.monotonic() < until:
            pass

    return wait


def _looking(paths: list[str]) -> Callable[[float], None]:
    poll = Poll(paths)

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            time.sleep(max(min(until, poll.next_at) - now, 0))
            if poll.next_at <= time.monotonic() and poll.look():
                return

    return wait
