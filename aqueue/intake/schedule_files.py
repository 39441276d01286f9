"""The schedule files in the folder, and their changes that the store does not have yet.

A schedule file stays in place. Each version that is read goes to the store, which may refuse it. An invalid file
stays, too, and its last good version stays in force. Removing the file ends its schedules.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence

import msgspec

from aqueue.errors import FileError
from aqueue.folder.layout import Folder
from aqueue.folder.rejected import IN_FORCE, Rejected
from aqueue.formats.yaml_text import MAX_BYTES
from aqueue.model.events import Notice, Report
from aqueue.model.schedule import Kept, Schedule
from aqueue.threads import leave_event_loop


class ScheduleFile(msgspec.Struct, frozen=True):
    """The result of reading a schedule file.

    Attributes:
        name: its path within the folder.
        schedules: its schedules; none if the file is gone or has no schedules any more.
        error: the error in it, if any; then its last good version stays in force.
        kept: snapshots for runs due under the stored versions of this file and those read with it.
    """

    name: str
    schedules: list[Schedule] = []
    error: str = ""
    kept: Kept = {}


class ScheduleFiles:
    """The schedule files of a folder, as one server has read them.

    Args:
        folder: the folder they are in.
        rejected: takes copies of bad edits.
        report: is called for bad edits.
        due_code: returns snapshots for runs that are due by now under the stored versions of these files.
    """

    def __init__(
        self, folder: Folder, rejected: Rejected, report: Report, due_code: Callable[[Sequence[str]], Kept]
    ) -> None:
        self._due_code = due_code
        self._folder = folder
        self._root = str(folder.path)
        self._rejected = rejected
        self._report = report
        self._pending: list[ScheduleFile] = []
        self.paths: dict[str, str] = {}
        """The files whose schedules are in force, each with its reported error; empty for none."""

    def add_stored(self, names: Iterable[str]) -> None:
        """Add the files that the store knows, by their paths within the folder."""
        self.paths.update((f"{self._root}/{name}", "") for name in names)

    def add(self, path: str, schedules: list[Schedule]) -> None:
        """Record that a file was read and is valid."""
        self._pending.append(ScheduleFile(self._name(path), schedules))

    def add_error(self, path: str, error: FileError) -> None:
        """Record that a file whose schedules are in force was read and is invalid."""
        self.add_fault(path, error)
        with contextlib.suppress(OSError):
            self._rejected.copy(_content(path), self._name(path), error.text())

    def add_fault(self, path: str, error: FileError) -> None:
        """Record that a file whose schedules are in force is unsafe to read."""
        text = error.text()
        if self.paths.get(path) != text:
            self.paths[path] = text
            *others, last = error.lines()
            self._report(*(Notice(said, urgent=True) for said in [*others, f"{last}; {IN_FORCE}"]))
        self._pending.append(ScheduleFile(self._name(path), error=text))

    def end(self, path: str) -> None:
        """Record that a file is gone, or has no schedules any more."""
        self._pending.append(ScheduleFile(self._name(path)))

    def take_pending(self) -> list[ScheduleFile]:
        """Return the changes that the store does not have yet."""
        if not self._pending:
            return []
        leave_event_loop()
        pending, self._pending = self._pending, []
        if kept := self._due_code([file.name for file in pending]):
            return [msgspec.structs.replace(file, kept=kept) for file in pending]
        return pending

    def confirm(self, pending: ScheduleFile) -> None:
        """Record that the store has accepted a change."""
        if pending.error:
            return
        path = f"{self._root}/{pending.name}"
        if pending.schedules:
            self.paths[path] = ""
        else:
            self.paths.pop(path, None)
        self._rejected.remove_copy(pending.name)

    def _name(self, path: str) -> str:
        return path[len(self._root) + 1 :]


def _content(path: str) -> bytes:
    """Return the content of a file, cut at the largest size of a task file."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                return os.read(descriptor, MAX_BYTES)
        finally:
            os.close(descriptor)
    return b""
