"""A wait for changes to a few files, without an event loop."""

import select
import time
from collections.abc import Callable
from typing import Final

from aqueue.folder.doorbell import Doorbell
from aqueue.folder.polling import Poll

_STEP: Final = 25
"""Milliseconds between two checks."""


def watch_files(paths: list[str]) -> Callable[[float], None]:
    """Watch a few files for changes; poll them once a second if the kernel grants no watch.

    Args:
        paths: files that exist.

    Returns:
        a function that waits for a change since its last call. Its argument is the longest wait in seconds.
    """
    for way in (_by_inotify, _by_watchfiles):
        try:
            return way(paths)
        except OSError:
            continue
    return _by_polling(paths)


def _by_inotify(paths: list[str]) -> Callable[[float], None]:
    bell = Doorbell(paths)

    def wait(seconds: float) -> None:
        if select.select([bell], [], [], max(seconds, 0))[0]:
            bell.clear()

    return wait


def _by_watchfiles(paths: list[str]) -> Callable[[float], None]:
    """Watch with watchfiles, where the kernel has no inotify."""
    from aqueue.folder.watcher import Watcher

    watcher = Watcher(paths, step=_STEP, timeout=2 * _STEP)

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while not watcher.ask() and time.monotonic() < until:
            pass

    return wait


def _by_polling(paths: list[str]) -> Callable[[float], None]:
    poll = Poll(paths)

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            time.sleep(max(min(until, poll.next_check) - now, 0))
            if poll.next_check <= time.monotonic() and poll.check():
                return

    return wait
