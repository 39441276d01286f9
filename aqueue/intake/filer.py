"""The task that files claimed files away while runs go on.

It keeps no list of files: it reads their names from `incoming/`, and their runs from the store. So files that
wait take no memory, and those left by a crash, a full disk or another server are filed away like any other. The
order of steps makes that safe: the store has the runs of a file; the store is flushed to the disk; the file is
moved. Only then may its runs be forgotten: a file in `incoming/` that the store does not know becomes new runs.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

import anyio

from aqueue.errors import BusyError, DiskFullError
from aqueue.folder.layout import Folder
from aqueue.intake.claimed_files import ClaimedFiles
from aqueue.threads import in_thread

_DELAY: Final = 2.0
"""Seconds after which accepted files are filed away: several together wait for the disk only once."""

_SLICE: Final = 64
_REST: Final = 9.0
"""The seconds of rest for each second of work, so that runs hardly notice."""

_SECONDS_AT_EXIT: Final = 5.0


class Filer:
    """The task that files claimed files away."""

    def __init__(self, folder: Folder, claimed_files: ClaimedFiles) -> None:
        self._incoming = str(folder.incoming)
        self._claimed_files = claimed_files
        self._is_due = anyio.Event()

    def wake(self) -> None:
        """Request a pass, in a moment: there may be files to file away."""
        self._is_due.set()

    async def run(self) -> None:
        """File files away until cancelled; then file away what is left, for a few seconds at most."""
        try:
            while True:
                await self._is_due.wait()
                await anyio.sleep(_DELAY)
                await self._file_all(_REST)
        finally:
            with anyio.move_on_after(_SECONDS_AT_EXIT, shield=True):
                await self._file_all(0.0)

    async def _file_all(self, rest: float) -> None:
        """Make one pass over `incoming/`.

        Args:
            rest: the seconds of rest for each second of work.
        """
        self._is_due = anyio.Event()
        # If the folder is gone, the watch reports that.
        with contextlib.suppress(OSError), os.scandir(self._incoming) as entries:
            names = (entry.name for entry in entries)
            while (seconds := await in_thread(partial(self._file_slice, names))) is not None:
                await anyio.sleep(seconds * rest)

    def _file_slice(self, names: Iterator[str]) -> float | None:
        """File some files away; return the seconds of work, or None if none were left."""
        # Without the wait for the disk.
        began = time.thread_time()
        try:
            some = list(islice(names, _SLICE))
            self._claimed_files.file_away(some)
        except (OSError, DiskFullError, BusyError):
            # They stay where they are until the next pass.
            return None
        return time.thread_time() - began if some else None
