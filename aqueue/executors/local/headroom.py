"""Whether there is room for a run to be started: on the disk for its log, and in the system for its process."""

import math
import os
from collections.abc import Callable
from typing import Final

from aqueue.clock import Clock
from aqueue.folder.layout import Folder
from aqueue.model.events import Notice, Report

ROOM_TO_START: Final = 16 << 20
"""Bytes that must be free on the disk for a run to be started: it will want to write its log."""

FILES_TO_START: Final = 64
"""How many more files there must be room for."""

DISK_FULL_PAUSE: Final = 1.0
"""Seconds after which a full disk is looked at again."""

_FIRST_PAUSE: Final = 5.0
"""Seconds after which it is tried again where the disk has room, as far as one can see, but something says no."""

_LONGEST_PAUSE: Final = 60.0
"""The same after it was tried several times."""

_CHECK_SECONDS = 0.1


class Headroom:
    """Knows whether runs can be started, and says so when that changes.

    Args:
        tell: is told why nothing is started, for those who ask; empty once something is again.
    """

    def __init__(
        self, folder: Folder, clock: Clock, report: Report, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._report = report
        self._is_short = False
        self._is_to_be_tried = False
        self._pause = _FIRST_PAUSE
        self._try_at = -math.inf
        self._check_at = -math.inf
        self._tell = tell
        self._told = ""

    def has_room(self) -> bool:
        """Whether there is room for a run to be started; the disk is asked now and then."""
        now = self._clock.monotonic()
        if now < self._check_at:
            return not self._is_short
        self._check_at = now + _CHECK_SECONDS
        status = os.statvfs(self._folder.state)
        free = status.f_bavail * status.f_frsize
        if free < ROOM_TO_START:
            self.is_short(f"the disk is full (there are {free >> 20} MiB free)")
        elif status.f_files and status.f_favail < FILES_TO_START:
            self.is_short(f"the disk is full ({status.f_favail} more files can be made)")
        elif self._is_to_be_tried:
            return True
        else:
            self.is_there()
        return not self._is_short

    def is_short(self, why: str, pause: float = DISK_FULL_PAUSE) -> None:
        """Take note that there was no room for something; nothing is started for `pause` seconds."""
        self._check_at = self._clock.monotonic() + pause
        self._let_know(why)
        if not self._is_short:
            self._is_short = True
            self._report(Notice(f"{why}: nothing is started until there is room", urgent=True))

    def is_missed(self, why: str) -> None:
        """Take note that a run could not be started; whether that is over shows only when it is tried again."""
        now = self._clock.monotonic()
        if now >= self._try_at:
            # Not for each of several that were tried together.
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._is_to_be_tried else _FIRST_PAUSE
            self._try_at = now + self._pause
        self._is_to_be_tried = True
        self.is_short(why, self._try_at - now)

    def is_there(self) -> None:
        """Take note that there is room."""
        if self._is_short:
            self._is_short = self._is_to_be_tried = False
            self._report(Notice("there is room again: runs are started"))

    def is_hindered(self, why: str) -> None:
        """Take note that nothing can be started although there is room."""
        self._let_know(why)

    def has_gone_on(self) -> None:
        """Take note that nothing else is in the way."""
        if not self._is_short:
            self._let_know("")

    def _let_know(self, why: str) -> None:
        if why != self._told:
            self._told = why
            self._tell(why)
