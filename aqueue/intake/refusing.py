"""Refusing a file: a bad one is rejected or stays, and a person learns why."""

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
"""Seconds after which a full disk, a busy store and the like are tried again."""

_TRANSIENT: Final = (*DISK_FULL, *EXHAUSTED)


class Refusals:
    """Refuses files of a folder.

    Args:
        config: says whether queues are disabled: bad files with tasks then stay where they are.
        settling: is told which files stay, and which to examine again.
        schedule_files: get the errors in files whose schedules are in force.
        rejected: gets bad files.
        report: is told about bad files.
        has_schedules: tells whether a file, by its path within the folder, has schedules that are in force; None:
            only those in `schedule_files` have, because there is no other server.
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
        """Reject a bad file; a bad edit of a schedule file stays, and so does all where queues are disabled."""
        leave_event_loop()
        if self._is_scheduled(path):
            self._settling.stay(path, seen.signature)
            self._schedule_files.add_error(path, error)
            return
        self._schedule_files.paths.pop(path, None)
        self._settling.state_of(path).is_refused = False
        if self._config().disabled_by is not None:
            self._settling.stay(path, seen.signature)
        else:
            self._reject(path, error, seen)

    def leave_exposed(self, path: str, seen: Seen, fault: trust.Fault) -> None:
        """Leave a file where it is that others can change; a `chmod` is a change that has it looked at again."""
        if seen.age < RECHECK_SECONDS:
            # Whoever copies a file may set its mode last.
            self._settling.recheck_at(path, seen.since + RECHECK_SECONDS)
            return
        leave_event_loop()
        self._settling.reset(path)
        if self._is_scheduled(path):
            self._schedule_files.add_fault(path, FileError(self._paths.shown(path), 0, 0, *fault))
            return
        self.complain(path, seen, f"{self._paths.shown(path)} cannot be taken: {fault.text}; {fault.hint}")

    def complain(self, path: str, seen: Seen, text: str) -> None:
        """Say that a file stays where it is, once for each state it is in."""
        state = self._settling.state_of(path)
        if state.reported_as != seen.signature:
            state.reported_as = seen.signature
            self._report(Notice(text, urgent=True))

    def retry_if_transient(self, path: str, error: OSError) -> None:
        """Have a file examined again if its error may be over without a change of the file."""
        if error.errno in _TRANSIENT:
            self._settling.recheck_in(path, RETRY_SECONDS)

    def _is_scheduled(self, path: str) -> bool:
        if self._has_schedules is None:
            return path in self._schedule_files.paths
        name = self._paths.relative(path)
        # Others cannot be stored, and have none.
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
            # It was written in the instant before it was moved, and may be good now.
            self._settling.recheck_in(path, 0.0)
            return
        more = error.lines()[1:]
        self._report(FileRejected(self._paths.shown(path), error.message, error.hint, printable(moved_to), more))
