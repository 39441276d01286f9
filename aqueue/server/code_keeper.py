"""The code of due runs: git keeps it, in worker threads, for the cycle that makes the runs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import anyio
import anyio.abc

from aqueue.errors import BusyError, DiskFullError
from aqueue.isolation.pins import Pins
from aqueue.model.events import Notice, Report
from aqueue.model.schedule import Kept, KeptCode
from aqueue.model.task import Code, Task
from aqueue.threads import in_thread

_PAUSE: Final = 1.0
"""Seconds before another try if the code could not be kept."""


class CodeKeeper:
    """The code of due runs.

    A schedule stays due in the store until its code is kept, so a crash meanwhile loses nothing.

    Args:
        pins: keeps the code.
        wake: is called when more code is kept.
        report: receives the error if code cannot be kept for now.
    """

    def __init__(self, pins: Pins, wake: Callable[[], None], report: Report) -> None:
        self._pins = pins
        self._wake = wake
        self._report = report
        self._asked: set[Code] = set()
        self._kept: dict[Code, KeptCode] = {}

    @property
    def kept(self) -> Kept:
        """Return the code that is kept for the next cycle."""
        return dict(self._kept)

    @property
    def is_awaited(self) -> bool:
        """Return True if git is still at work."""
        return bool(self._asked)

    def forget(self, used: Kept) -> None:
        """Forget the code that a cycle used or found too old."""
        for code in used:
            self._kept.pop(code, None)

    def keep(self, missing: Mapping[Code, Task], now: float, tasks: anyio.abc.TaskGroup) -> None:
        """Start to keep the code of these tasks as it is now."""
        for code, task in missing.items():
            if code not in self._asked:
                self._asked.add(code)
                tasks.start_soon(self._keep, code, task, now)

    async def _keep(self, code: Code, task: Task, now: float) -> None:
        has_reported = False
        while True:
            try:
                self._kept[code] = await in_thread(partial(self._pins.snapshot_for, task, now))
                break
            except (DiskFullError, BusyError) as error:
                if not has_reported:
                    has_reported = True
                    why = f"schedule {task.name} is due, but its code cannot be kept yet: {error}"
                    self._report(Notice(why, urgent=True))
                await anyio.sleep(_PAUSE)
        self._asked.discard(code)
        self._wake()
