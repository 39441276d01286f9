"""The code of what is due: kept by git in worker threads, for the cycle that makes its runs."""

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
"""Seconds after which it is tried again where it could not be kept."""


class CodeKeeper:
    """Keeps the code of what is due.

    Until its code is there, what is due stays so in the store: whatever happens meanwhile, it is not lost.

    Args:
        pins: keep it.
        wake: is called once some is there.
        report: is told if it cannot be kept for now.
    """

    def __init__(self, pins: Pins, wake: Callable[[], None], report: Report) -> None:
        self._pins = pins
        self._wake = wake
        self._report = report
        self._asked: set[Code] = set()
        self._kept: dict[Code, KeptCode] = {}

    @property
    def kept(self) -> Kept:
        """Return the code that is there for the next cycle."""
        return dict(self._kept)

    @property
    def is_awaited(self) -> bool:
        """Return True if some is being kept."""
        return bool(self._asked)

    def forget(self, used: Kept) -> None:
        """Forget the code that a cycle has used, or has found to be too old."""
        for code in used:
            self._kept.pop(code, None)

    def keep(self, lacking: Mapping[Code, Task], now: float, tasks: anyio.abc.TaskGroup) -> None:
        """Have the code of these tasks kept as it is now."""
        for code, task in lacking.items():
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
                    self._report(Notice(f"schedule {task.name} is due and waits: {error}", urgent=True))
                await anyio.sleep(_PAUSE)
        self._asked.discard(code)
        self._wake()
