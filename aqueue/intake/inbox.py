"""The inbox: task files in the folder → runs in the store, each exactly once.

A path comes in as a hint. `examine` finds the file to be unsettled (somebody still writes it: it is examined
again), bad (`refusing`: moved to `rejected/`), or good (`claiming`: renamed into `incoming/`). Files claimed
together are given to the store together, in one transaction; `claimed_files` moves them on. A file with schedules
is not claimed: it stays, and what it says goes to `schedule_files`. All of this is synchronous; what may take
long leaves the event loop first (see `aqueue.threads`).
"""

import os
import stat
import time
from collections.abc import Callable, Iterable
from typing import Final

from aqueue.errors import AqueueError, BusyError, DiskFullError, FileError
from aqueue.folder import linked, trust
from aqueue.folder.layout import Folder
from aqueue.folder.rejected import Rejected
from aqueue.folder.settling import Seen, Settling, Signature, signature
from aqueue.intake import overlooked
from aqueue.intake.claimed_files import ClaimedFile, ClaimedFiles
from aqueue.intake.claiming import RECHECK_SECONDS, Claimer
from aqueue.intake.parser import Parser
from aqueue.intake.paths import Paths
from aqueue.intake.preparing import AsWritten, Preparing
from aqueue.intake.refusing import RETRY_SECONDS, Refusals
from aqueue.intake.schedule_files import ScheduleFile, ScheduleFiles
from aqueue.model.config import Config
from aqueue.model.events import Notice, Report
from aqueue.threads import leave_event_loop

BATCH: Final = 64
"""The number of files that are accepted in one transaction at most."""

_RECHECK_SECONDS_IF_EMPTY: Final = 1.0


class Inbox:
    """The way from the folder to the store.

    Args:
        folder: to take files from.
        config: read anew for each file.
        report: is told about bad files.
        has_schedules: tells whether a file, by its path within the folder, has schedules that are in force; None:
            only those in `schedule_files` have, because there is no other server.
        preparing: makes what files ask for ready for the store.
    """

    def __init__(
        self,
        folder: Folder,
        config: Callable[[], Config],
        report: Report,
        has_schedules: Callable[[str], bool] | None = None,
        preparing: Preparing | None = None,
    ) -> None:
        self._folder = folder
        self._paths = Paths(folder)
        self._config = config
        self._report = report
        self._preparing = preparing or AsWritten()
        self._settling = Settling(lambda text: report(Notice(text)))
        self._overlooked = overlooked.Overlooked(report)
        self._queues_are_disabled = False
        rejected, parser = Rejected(folder), Parser(folder, config)
        self.claimed_files = ClaimedFiles(folder, parser, report, self._preparing, rejected)
        """The files that were claimed, until they lie in the folders of their runs."""
        self.schedule_files = ScheduleFiles(folder, rejected, report, self._preparing.due_code)
        """The files that stay where they are, because they say when to run something."""
        self._claimer = Claimer(folder, config, parser, self._settling, self.schedule_files, self._preparing)
        self._refusals = Refusals(
            folder, config, self._settling, self.schedule_files, rejected, report, has_schedules
        )

    @property
    def next_check(self) -> float | None:
        """Return when to examine an unsettled file again, on the monotonic clock; None if there is none."""
        return self._settling.next_check

    def to_recheck(self, now: float) -> list[str]:
        """Return the unsettled files to examine again by now."""
        return self._settling.to_recheck(now)

    def scan(self) -> list[str]:
        """Return every task file that is there now."""
        found = overlooked.scan(self._folder)
        for path, why in found.overlooked.items():
            self._overlooked.report(path, why)
        self._overlooked.forget_gone()
        return found.task_files

    @property
    def is_in_doubt(self) -> bool:
        """Return True if a schedule file seems to be gone, but may only be being saved."""
        return any(state.missing_since is not None for state in self._settling.states.values())

    def reread(self) -> None:
        """Read the files that stay where they are once more: there is another configuration."""
        for state in self._settling.states.values():
            state.stays_as = None

    def files_to_examine(self, hints: Iterable[str]) -> list[str]:
        """Return the task files that changed paths stand for, in the order in which they arrived."""
        self._follow_config()
        paths = set(hints)
        unchanged: dict[str, Signature] = {}
        if any(map(self._folder.is_sub_folder, paths)):
            leave_event_loop()
            staying = ((path, state.stays_as) for path, state in self._settling.states.items())
            unchanged = {path: as_it_is for path, as_it_is in staying if as_it_is and path not in paths}
            paths = {*self.scan(), *self.schedule_files.paths}
        arrived = []
        for path in paths:
            if not self._folder.is_task_file(path):
                self._overlooked.report(path, overlooked.why_overlooked(self._folder, path))
                continue
            try:
                status = os.lstat(path)
            except OSError:
                if path in self.schedule_files.paths:
                    arrived.append((0, path))
                    self._settling.reset(path)
                else:
                    self._settling.forget(path)
            else:
                if unchanged.get(path) != signature(linked.followed(path, status)):
                    arrived.append((status.st_ctime_ns, path))
        return [path for _, path in sorted(arrived)]

    def _follow_config(self) -> None:
        """Note whether queues are disabled: files with tasks then stay where they are."""
        why = self._config().disabled_by
        if why is not None and not self._queues_are_disabled:
            self._report(Notice(f"queues are disabled ({why}): task files stay where they are", urgent=True))
        self._queues_are_disabled = why is not None

    def begin(self) -> None:
        """Examine files from here on that are there already."""
        self._preparing.begin()

    def confirm(self, file: ScheduleFile) -> None:
        """Note that the store has taken what was read in a schedule file."""
        self.schedule_files.confirm(file)
        if not file.error:
            # What was refused because of a name may be right now.
            path = self._paths.absolute(file.name)
            for refused in self._refused():
                self._settling.state_of(refused).is_refused = False
                if refused != path:
                    self._settling.recheck_in(refused, 0.0)

    def refuse(self, file: ScheduleFile, error: AqueueError) -> None:
        """Note that the store does not take what was read in a schedule file."""
        path = self._paths.absolute(file.name)
        state = self._settling.state_of(path)
        if not state.is_refused:
            # Files that change places are refused one after the other, but not when looked at together.
            state.is_refused = True
            for refused in self._refused():
                self._settling.recheck_in(refused, RECHECK_SECONDS)
            return
        seen = Seen(state.stays_as or (0, 0, 0, 0), 0.0, 0)
        try:
            self._refusals.refuse(path, FileError(self._paths.shown(path), 0, 0, error.message, error.hint), seen)
        except (DiskFullError, BusyError):
            self._settling.recheck_in(path, RETRY_SECONDS)

    def examine(self, path: str) -> ClaimedFile | None:
        """Examine a task file, and return it claimed; None if it is not good, or not yet."""
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._miss(path)
            return None
        except OSError:
            # It may well be there.
            self._settling.state_of(path).missing_since = None
            self._settling.reset(path)
            return None
        if stat.S_ISDIR(status.st_mode):
            self._miss(path)
            return None
        status = linked.followed(path, status)
        seen = self._settling.see(path, status)
        try:
            return self._claim_or_refuse(path, status, seen)
        except FileNotFoundError:
            self._miss(path)
        except (DiskFullError, BusyError) as error:
            self._settling.reset(path)
            self._refusals.complain(path, seen, f"{self._paths.shown(path)} cannot be taken: {error}")
            self._settling.recheck_in(path, RETRY_SECONDS)
        except OSError as error:
            self._settling.reset(path)
            self._refusals.complain(path, seen, f"{self._paths.shown(path)} cannot be taken: {error.strerror}")
            self._refusals.retry_if_transient(path, error)
        return None

    def _claim_or_refuse(self, path: str, status: os.stat_result, seen: Seen) -> ClaimedFile | None:
        """Claim a file if it is good; refuse it if it has been bad for too long to be only half of one."""
        try:
            if not stat.S_ISREG(status.st_mode):
                raise FileError(self._paths.shown(path), 0, 0, *linked.why_no_file(path))
            if status.st_uid != os.geteuid():
                raise FileError(
                    self._paths.shown(path), 0, 0, f"belongs to user {status.st_uid}", "drop a file of your own"
                )
            if fault := trust.fault_of_task_file(path, status):
                self._refusals.leave_exposed(path, seen, fault)
                return None
            return self._claimer.claim(path, seen)
        except FileError as error:
            empty = stat.S_ISREG(status.st_mode) and status.st_size == 0
            patience = _RECHECK_SECONDS_IF_EMPTY if empty else RECHECK_SECONDS
            if seen.age < patience:
                self._settling.recheck_at(path, seen.since + patience)
            else:
                self._refusals.refuse(path, error, seen)
            return None

    def _miss(self, path: str) -> None:
        """Note that a path leads to no file; a schedule file may only be being saved, and gets a second look."""
        state, now = self._settling.states.get(path), time.monotonic()
        since = now if state is None or state.missing_since is None else state.missing_since
        is_awaited = path in self.schedule_files.paths
        if is_awaited and now < since + RECHECK_SECONDS:
            self._settling.reset(path)
            state = self._settling.state_of(path)
            state.missing_since, state.next_check = since, since + RECHECK_SECONDS
            return
        self._settling.forget(path)
        if is_awaited:
            self.schedule_files.end(path)

    def _refused(self) -> list[str]:
        """Return the schedule files that the store did not take at their last look."""
        return [path for path, state in self._settling.states.items() if state.is_refused]
