"""The inbox: task files in the folder → runs in the store, each exactly once.

A path comes in as a hint. `examine` finds that its file is unsettled (still being written, so check again), bad
(`refusing` moves it to `rejected/`) or good (`claiming` renames it into `incoming/`). Files claimed together go to
the store in one transaction; `filer` files them away later. A file with schedules stays, and its content goes to
`schedule_files`. All of this is synchronous; slow steps leave the event loop first (see `aqueue.threads`).
"""

import heapq
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from aqueue.errors import AqueueError, BusyError, DiskFullError, FileError
from aqueue.folder import linked, trust
from aqueue.folder.layout import Folder
from aqueue.folder.rejected import Rejected
from aqueue.folder.settling import Seen, Settling, Signature, signature
from aqueue.intake import overlooked
from aqueue.intake.claimed_files import ClaimedFile, ClaimedFiles, RunsOf
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
"""The most files accepted in one transaction."""

MAX_FILES: Final = 8192
"""The most files that a scan returns, so that it takes little memory."""

Arrival = tuple[int, str]
"""When a file arrived, and its path."""

_RECHECK_SECONDS_IF_EMPTY: Final = 1.0


class Inbox:
    """The way from the folder to the store.

    Args:
        folder: the folder to take files from.
        config: returns the configuration; called for each file.
        report: is called for bad files.
        has_schedules: returns True if the file with this path within the folder has schedules in force; None if
            there is no other server, so that `schedule_files` knows them all.
        preparing: prepares submissions for the store.
        runs_of: returns the runs that the store knows of claimed files.
    """

    def __init__(
        self,
        folder: Folder,
        config: Callable[[], Config],
        report: Report,
        has_schedules: Callable[[str], bool] | None = None,
        preparing: Preparing | None = None,
        runs_of: RunsOf = lambda _: {},
    ) -> None:
        self._folder = folder
        self._paths = Paths(folder)
        self._config = config
        self._report = report
        self._preparing = preparing or AsWritten()
        self._settling = Settling(lambda text: report(Notice(text)))
        self._overlooked = overlooked.Overlooked(report)
        self._queues_are_disabled = False
        self._scanned_to: Arrival | None = None
        rejected, parser = Rejected(folder), Parser(folder, config)
        self.claimed_files = ClaimedFiles(folder, parser, report, self._preparing, rejected, runs_of)
        """The claimed files that were not filed away yet."""
        self.schedule_files = ScheduleFiles(folder, rejected, report, self._preparing.due_code)
        """The files that stay in place because they have schedules."""
        self._claimer = Claimer(folder, config, parser, self._settling, self.schedule_files, self._preparing)
        self._refusals = Refusals(
            folder, config, self._settling, self.schedule_files, rejected, report, has_schedules
        )

    @property
    def next_check(self) -> float | None:
        """Return when to check an unsettled file again, on the monotonic clock; None if there is none."""
        return self._settling.next_check

    def to_recheck(self, now: float) -> list[str]:
        """Return the unsettled files whose next check is due."""
        return self._settling.to_recheck(now)

    def scan(self) -> Iterator[str]:
        """Yield all task files in the folder now, and report files that only look like one."""
        for path, why in overlooked.scan(self._folder):
            if why:
                self._overlooked.report(path, why)
            else:
                yield path
        self._overlooked.forget_gone()

    @property
    def is_in_doubt(self) -> bool:
        """Return True if a schedule file is missing, perhaps only because an editor is saving it."""
        return any(state.missing_since is not None for state in self._settling.states.values())

    def reread(self) -> None:
        """Make the files that stay in place be read again, because the configuration has changed."""
        for state in self._settling.states.values():
            state.stays_as = None

    @property
    def has_more_to_examine(self) -> bool:
        """Return True if the last scan of the whole folder found more files than it returned."""
        return self._scanned_to is not None

    def files_to_examine(self, hints: Iterable[str]) -> list[str]:
        """Return the task files to examine after these paths changed, in order of arrival.

        If a directory has changed, these are the oldest of the whole folder; `more_to_examine` returns the next.
        """
        self._follow_config()
        paths = set(hints)
        if any(map(self._folder.is_sub_folder, paths)):
            return self._scan_for_oldest(paths)
        return [path for _, path in sorted(self._arrived(filter(self._is_task_file, paths)))]

    def more_to_examine(self) -> list[str]:
        """Return the files of the whole folder that arrived after those returned so far: the oldest of them."""
        return self._scan_for_oldest(after=self._scanned_to)

    def _scan_for_oldest(self, changed: Collection[str] = (), after: Arrival | None = None) -> list[str]:
        """Return the oldest files of the whole folder, without those that stay and have not changed."""
        leave_event_loop()
        staying = ((path, state.stays_as) for path, state in self._settling.states.items())
        unchanged = {path: as_it_is for path, as_it_is in staying if as_it_is and path not in changed}
        known = self.schedule_files.paths
        paths = chain(known, (path for path in self.scan() if path not in known))
        arrived = (each for each in self._arrived(paths, unchanged) if after is None or each > after)
        oldest = heapq.nsmallest(MAX_FILES, arrived)
        self._scanned_to = oldest[-1] if len(oldest) == MAX_FILES else None
        return [path for _, path in oldest]

    def _arrived(self, paths: Iterable[str], unchanged: Mapping[str, Signature] = {}) -> Iterator[Arrival]:
        """Yield those of these task files that are there or awaited, each with its time of arrival."""
        for path in paths:
            try:
                status = os.lstat(path)
            except OSError:
                if path in self.schedule_files.paths:
                    self._settling.reset(path)
                    yield 0, path
                else:
                    self._settling.forget(path)
            else:
                if unchanged.get(path) != signature(linked.followed(path, status)):
                    yield status.st_ctime_ns, path

    def _is_task_file(self, path: str) -> bool:
        """Return True if this is the path of a task file; report one that only looks like it."""
        is_task_file = self._folder.is_task_file(path)
        if not is_task_file:
            self._overlooked.report(path, overlooked.why_overlooked(self._folder, path))
        return is_task_file

    def _follow_config(self) -> None:
        """Record whether queues are disabled, and report when they become so."""
        why = self._config().disabled_by
        if why is not None and not self._queues_are_disabled:
            self._report(Notice(f"queues are disabled ({why}): task files stay where they are", urgent=True))
        self._queues_are_disabled = why is not None

    def begin(self) -> None:
        """Start a new batch: snapshots taken for earlier files are not reused."""
        self._preparing.begin()

    def confirm(self, file: ScheduleFile) -> None:
        """Record that the store has accepted the content of a schedule file."""
        self.schedule_files.confirm(file)
        if not file.error:
            # A file refused because of a taken name may be valid now.
            path = self._paths.absolute(file.name)
            for refused in self._refused():
                self._settling.state_of(refused).refused_since = None
                if refused != path:
                    self._settling.recheck_in(refused, 0.0)

    def refuse(self, file: ScheduleFile, error: AqueueError) -> None:
        """Record that the store has refused the content of a schedule file."""
        path = self._paths.absolute(file.name)
        state = self._settling.state_of(path)
        now = time.monotonic()
        if state.refused_since is None:
            state.refused_since = now
        if now < state.refused_since + RECHECK_SECONDS or self.is_in_doubt:
            # Files that swap names are refused one by one, but accepted when they are checked together. And the
            # file that has the name may be about to go.
            for refused in self._refused():
                self._settling.recheck_in(refused, RECHECK_SECONDS)
            return
        seen = Seen(state.stays_as or (0, 0, 0, 0), 0.0, 0)
        try:
            self._refusals.refuse(path, FileError(self._paths.shown(path), 0, 0, error.message, error.hint), seen)
        except (DiskFullError, BusyError):
            self._settling.recheck_in(path, RETRY_SECONDS)

    def examine(self, path: str) -> ClaimedFile | None:
        """Examine a task file and claim it; return None if it is not valid, or not yet."""
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._miss(path)
            return None
        except OSError:
            # The error does not mean that it is gone.
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
        """Claim a valid file; refuse a bad one once it is too old to be half-written."""
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
        """Record that a path has no file. Check a schedule file again: an editor may be saving it."""
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
        """Return the schedule files that the store refused at their last check."""
        return [path for path, state in self._settling.states.items() if state.refused_since is not None]
