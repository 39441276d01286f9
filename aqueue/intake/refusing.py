"""Refusing a bad file: it is rejected or stays in place, and the user is told why."""

from collections.abc import Callable
from typing import Final

from aqueue.errors import DISK_FULL, EXHAUSTED, FileError
from aqueue.folder import trust
from aqueue.folder.layout import Folder, printable
from aqueue.folder.rejected import Rejected
from aqueue.folder.settling import Seen, Settling, is_as_seen
from aqueue.intake.claiming import RECHECK_SECONDS
from aqueue.intake.paths import Paths
from aqueue.intake.schedule_files import ScheduleFiles
from aqueue.model.config import Config
from aqueue.model.events import FileRejected, Notice, Report
from aqueue.threads import leave_event_loop

RETRY_SECONDS: Final = 1.0
"""Seconds before another try after a full disk, a busy store and the like."""

_TRANSIENT: Final = (*DISK_FULL, *EXHAUSTED)


class Refusals:
    """Refuses files of a folder.

    Args:
        config: returns the configuration. If it disables queues, bad files stay in place.
        settling: tracks which files stay, and which to check again.
        schedule_files: takes the errors of files whose schedules are in force.
        rejected: where bad files go.
        report: is called for bad files.
        has_schedules: returns True if the file with this path within the folder has schedules in force; None if
            there is no other server, so that `schedule_files` knows them all.
    """

    def __init__(
        self,
        folder: Folder,
        config: Callable[[], Config],
        settling: Settling,
        schedule_files: ScheduleFiles,
        rejected: Rejected,
        report: Report,
        has_schedules: Callable[[str], bool] | None,
    ) -> None:
        self._paths = Paths(folder)
        self._config = config
        self._settling = settling
        self._schedule_files = schedule_files
        self._rejected = rejected
        self._report = report
        self._has_schedules = has_schedules

    def refuse(self, path: str, error: FileError, seen: Seen) -> None:
        """Reject a bad file. A bad edit of a schedule file stays, as does any file while queues are disabled."""
        leave_event_loop()
        if self._is_scheduled(path):
            self._settling.stay(path, seen.signature)
            self._schedule_files.add_error(path, error)
            return
        self._schedule_files.paths.pop(path, None)
        self._settling.state_of(path).refused_since = None
        if self._config().disabled_by is not None:
            self._settling.stay(path, seen.signature)
        else:
            self._reject(path, error, seen)

    def leave_exposed(self, path: str, seen: Seen, fault: trust.Fault) -> None:
        """Leave a file that others can change in place. A `chmod` triggers another check."""
        if seen.age < RECHECK_SECONDS:
            # A copy may get its mode last.
            self._settling.recheck_at(path, seen.since + RECHECK_SECONDS)
            return
        leave_event_loop()
        self._settling.reset(path)
        if self._is_scheduled(path):
            self._schedule_files.add_fault(path, FileError(self._paths.shown(path), 0, 0, *fault))
            return
        self.complain(path, seen, f"{self._paths.shown(path)} cannot be taken: {fault.text}; {fault.hint}")

    def complain(self, path: str, seen: Seen, text: str) -> None:
        """Report that a file stays in place, once for each state it is in."""
        state = self._settling.state_of(path)
        if state.reported_as != seen.signature:
            state.reported_as = seen.signature
            self._report(Notice(text, urgent=True))

    def retry_if_transient(self, path: str, error: OSError) -> None:
        """Schedule another check if the error may pass without a change of the file."""
        if error.errno in _TRANSIENT:
            self._settling.recheck_in(path, RETRY_SECONDS)

    def _is_scheduled(self, path: str) -> bool:
        if self._has_schedules is None:
            return path in self._schedule_files.paths
        name = self._paths.relative(path)
        # A name that is not UTF-8 cannot be stored, so it has no schedules.
        return name == self._paths.shown(path) and self._has_schedules(name)

    def _reject(self, path: str, error: FileError, seen: Seen) -> None:
        self._settling.reset(path)
        try:
            moved_to = self._rejected.move(path, self._paths.relative(path), error.text())
        except FileNotFoundError:
            return
        except OSError as problem:
            self.complain(path, seen, f"{error.message}; it cannot be moved away: {problem.strerror}")
            self.retry_if_transient(path, problem)
            return
        self._settling.forget(path)
        if not is_as_seen(self._paths.absolute(moved_to), seen) and self._rejected.take_back(moved_to, path):
            # It was written just before it was moved, and may be valid now.
            self._settling.recheck_in(path, 0.0)
            return
        more = error.lines()[1:]
        self._report(FileRejected(self._paths.shown(path), error.message, error.hint, printable(moved_to), more))
