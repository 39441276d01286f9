"""The loop that drives the inbox: from change hints to accepted runs.

The event loop itself reads a dropped file, claims it and hands it to the dispatcher, so that it never waits for a
thread. Slow work goes to a thread: a scan of the whole folder, a large file, a snapshot of code.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from aqueue.clock import Clock
from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder
from aqueue.folder.watch import Watch
from aqueue.intake.claimed_files import ClaimedFile, in_order
from aqueue.intake.config_reload import ConfigReload
from aqueue.intake.inbox import BATCH, Inbox
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.submission import Accepted, run_ids
from aqueue.store.database import make_durable
from aqueue.threads import in_thread, without_waiting


class Delivered(Protocol):
    """The result of a delivery: accepted files by name in `incoming/`, and errors of refused schedule files.

    If `is_taken` is false, nothing was accepted, and the files are left to the next server.
    """

    is_taken: bool
    accepted: Mapping[str, Sequence[Accepted]]
    refused: Sequence[AqueueError | None]


Deliver = Callable[[Sequence[ClaimedFile], Sequence[ScheduleFile]], Awaitable[Delivered]]

_LONGEST_WAIT = 3600.0
_FILE_AWAY_AFTER = 2.0
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
        self._delivered: list[tuple[ClaimedFile, list[int]]] = []
        self._has_delivered = anyio.Event()
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
        self, left: Sequence[ClaimedFile], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
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
                tasks.start_soon(self._file_away)
                if left:
                    await self.accept(left)
                await self._work(self._watch)

    async def accept(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile] = ()) -> Delivered:
        """Put claimed files into the store, and schedule their move to the directories of their runs."""
        delivered = await self._deliver(files, schedule_files)
        if files and delivered.is_taken:
            self._delivered.extend((file, run_ids(delivered.accepted[file.name])) for file in files)
            self._has_delivered.set()
        return delivered

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
                await self._hand_over(await in_thread(partial(self._inbox.claimed_files.left_behind, left_for)))
            hints.update(self._inbox.to_recheck(self._clock.monotonic()))
            paths = await without_waiting(partial(self._inbox.files_to_examine, hints))
            for start in range(0, len(paths), BATCH):
                await self._hand_over(await self._claim(paths[start : start + BATCH]))
            if not knows_schedules and not self._inbox.is_in_doubt:
                knows_schedules = True
                self._schedules_known()
            checks = [at for at in (self._inbox.next_check, self._config_reload.next_check) if at is not None]
            next_check = min(checks, default=None)
            self.is_settled = next_check is None
            hints = await watch.wait(_LONGEST_WAIT if next_check is None else next_check - self._clock.monotonic())
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
            delivered = await self.accept(claimed, pending)
            claimed = ()
            if not delivered.is_taken:
                return
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

    async def _file_away(self) -> None:
        try:
            while True:
                await self._has_delivered.wait()
                # There is no hurry; many at once wait for the disk only once, and starts do not wait with them.
                await anyio.sleep(_FILE_AWAY_AFTER)
                await self._move_delivered()
        finally:
            with anyio.move_on_after(5.0, shield=True):
                await self._move_delivered()

    async def _move_delivered(self) -> None:
        self._has_delivered = anyio.Event()
        delivered, self._delivered = self._delivered, []
        if delivered:
            await in_thread(partial(self._move, delivered))

    def _move(self, delivered: list[tuple[ClaimedFile, list[int]]]) -> None:
        try:
            make_durable(self._folder)
        except OSError:
            # They stay where they are, and are looked at again like those of a server that died.
            return
        for file, ids in delivered:
            self._inbox.claimed_files.file_away(file, ids)
