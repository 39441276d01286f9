"""The loop that drives the inbox: from change hints to accepted runs.

The event loop itself reads a dropped file, claims it and hands it to the dispatcher, so that it never waits for a
thread. Slow work goes to a thread: a scan of the whole folder, a large file, a snapshot of code.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from aqueue.clock import Clock
from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder
from aqueue.folder.watch import Watch
from aqueue.intake.backlog import Backlog
from aqueue.intake.claimed_files import ClaimedFile, in_order
from aqueue.intake.config_reload import ConfigReload
from aqueue.intake.filer import Filer
from aqueue.intake.inbox import BATCH, Inbox
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.threads import in_thread, without_waiting


class Delivered(Protocol):
    """The result of a delivery, with the error of each schedule file that was refused.

    If `is_taken` is false, nothing was accepted, and the files are left to the next server.
    """

    is_taken: bool
    refused: Sequence[AqueueError | None]


Deliver = Callable[[Sequence[ClaimedFile], Sequence[ScheduleFile]], Awaitable[Delivered]]

_LONGEST_WAIT = 3600.0
_GLANCE = 0.0005
"""Seconds to wait for changes while there are files to examine."""

_AT_ONCE = 8
"""The number of files after which other tasks of the event loop get a turn."""


class IntakeLoop:
    """Keeps the folder empty of task files.

    Args:
        config_reload: reloads the configuration when its file changes.
        deliver: puts claimed files and the content of schedule files into the store.
        schedules_known: is called once all schedule files have been read.
        wake: is called when the bell rings or the configuration changes.
        warn: is called once if the kernel grants no watch on the folder.
    """

    def __init__(
        self,
        folder: Folder,
        inbox: Inbox,
        config_reload: ConfigReload,
        clock: Clock,
        deliver: Deliver,
        schedules_known: Callable[[], None],
        wake: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._inbox = inbox
        self._config_reload = config_reload
        self._clock = clock
        self._deliver = deliver
        self._schedules_known = schedules_known
        self._wake = wake
        self._warn = warn
        self._backlog = Backlog(inbox, str(folder.path))
        self._filer = Filer(folder, inbox.claimed_files)
        self._left_for = math.inf
        self._watch: Watch | None = None
        self.is_settled = False
        """True if no known task file waits for a check."""

    def rescan(self, left_for: float = math.inf) -> None:
        """Make the loop examine the whole folder, in case a change was missed.

        Args:
            left_for: also take files claimed at least this many seconds ago, whose server must be gone.
        """
        self._left_for = min(self._left_for, left_for)
        if self._watch is not None:
            self._watch.interrupt()

    async def run(
        self, left: Iterator[ClaimedFile], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Take present and new files until cancelled. It has started once the folder is watched.

        Args:
            left: claimed files that a crash left behind.

        Raises:
            FolderError: the folder is gone.
        """
        with Watch(self._folder, self._inbox.schedule_files.paths, self._warn) as self._watch:
            task_status.started()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._filer.run)
                await self._take_over(left)
                await self._work(self._watch)

    async def _take_over(self, left: Iterator[ClaimedFile]) -> None:
        """Put files left behind by others into the store; have those that are there filed away."""
        while files := await in_thread(lambda: list(islice(left, BATCH))):
            await self._hand_over(files)
        self._filer.wake()

    async def _work(self, watch: Watch) -> None:
        bell, whole = str(self._folder.bell), str(self._folder.path)
        # The bell may have rung before the watch began.
        hints = {whole, bell}
        knows_schedules = False
        while True:
            if await self._config_has_changed(hints):
                # Task files that had to stay may be taken now, and schedules may mean something else.
                self._inbox.reread()
                hints |= {whole, bell}
            if bell in hints:
                self._wake()
                hints.discard(bell)
            if self._left_for < math.inf:
                left_for, self._left_for = self._left_for, math.inf
                await self._take_over(self._inbox.claimed_files.left_behind(left_for))
            due = self._inbox.to_recheck(self._clock.monotonic())
            paths = await without_waiting(partial(self._inbox.files_to_examine, due)) if due else []
            await self._backlog.add(hints)
            paths += await self._backlog.take()
            for start in range(0, len(paths), BATCH):
                await self._hand_over(await self._claim(paths[start : start + BATCH]))
            if not (knows_schedules or self._inbox.is_in_doubt or self._backlog):
                knows_schedules = True
                self._schedules_known()
            checks = [at for at in (self._inbox.next_check, self._config_reload.next_check) if at is not None]
            next_check = min(checks, default=None)
            self.is_settled = next_check is None and not self._backlog
            seconds = _LONGEST_WAIT if next_check is None else next_check - self._clock.monotonic()
            hints = await watch.wait(_GLANCE if self._backlog else seconds)
            self.is_settled = False

    async def _claim(self, paths: Sequence[str]) -> Sequence[ClaimedFile]:
        self._inbox.begin()
        claimed = []
        for number, path in enumerate(paths, 1):
            file = await without_waiting(partial(self._inbox.examine, path))
            claimed += [] if file is None else [file]
            if number % _AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
        return in_order(claimed)

    async def _hand_over(self, claimed: Sequence[ClaimedFile]) -> None:
        """Put claimed files and pending schedule files into the store. A refusal makes new pending ones."""
        schedule_files = self._inbox.schedule_files
        while (pending := await without_waiting(schedule_files.take_pending)) or claimed:
            delivered = await self._deliver(claimed, pending)
            if not delivered.is_taken:
                return
            if claimed:
                self._inbox.claimed_files.remember(claimed)
                self._filer.wake()
            claimed = ()
            for file, error in zip(pending, delivered.refused, strict=True):
                if error is None:
                    self._inbox.confirm(file)
                else:
                    await without_waiting(partial(self._inbox.refuse, file, error))

    async def _config_has_changed(self, hints: Collection[str]) -> bool:
        check_at = self._config_reload.next_check
        is_due = check_at is not None and check_at <= self._clock.monotonic()
        hinted = str(self._folder.config) in hints or str(self._folder.path) in hints
        return (is_due or hinted) and await without_waiting(self._config_reload.reload)
