"""The schedule files in the folder: which there are, and what is still to be told to the store about them.

A schedule file stays where it is. Whatever is read in it anew is told to the store, and the store
may refuse it. A file with an error in it stays too, and its last good version in force; one that is gone ends its
schedules.
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
        schedules: what it says; none if it is gone, or says nothing about schedules any more.
        error: what is wrong with it; its last good version stays in force then.
        kept: the code for what is due by what it, and others that were read with it, said before.
    """

    name: str
    schedules: list[Schedule] = []
    error: str = ""
    kept: Kept = {}


class ScheduleFiles:
    """The schedule files of a folder, as one server has read them.

    Args:
        folder: where they are.
        rejected: gets copies of bad edits.
        report: is told about bad edits.
        due_code: returns the code for what is due by now, by what files of these names have said so far.
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
        """Those whose schedules are in force, each with the error that was told of it; empty for none."""

    def add_stored(self, names: Iterable[str]) -> None:
        """Take up those that the store knows, by their paths within the folder."""
        self.paths.update((f"{self._root}/{name}", "") for name in names)

    def add(self, path: str, schedules: list[Schedule]) -> None:
        """Note that a file has been read and is good."""
        self._pending.append(ScheduleFile(self._name(path), schedules))

    def add_error(self, path: str, error: FileError) -> None:
        """Note that a file whose schedules are in force has been read and is bad."""
        self.add_fault(path, error)
        with contextlib.suppress(OSError):
            self._rejected.copy(_content(path), self._name(path), error.text())

    def add_fault(self, path: str, error: FileError) -> None:
        """Note that a file whose schedules are in force must not be read as it is."""
        text = error.text()
        if self.paths.get(path) != text:
            self.paths[path] = text
            *others, last = error.lines()
            self._report(*(Notice(said, urgent=True) for said in [*others, f"{last}; {IN_FORCE}"]))
        self._pending.append(ScheduleFile(self._name(path), error=text))

    def end(self, path: str) -> None:
        """Note that a file is gone, or is no schedule file any more."""
        self._pending.append(ScheduleFile(self._name(path)))

    def take_pending(self) -> list[ScheduleFile]:
        """Return what the store has not been told yet."""
        if not self._pending:
            return []
        leave_event_loop()
        pending, self._pending = self._pending, []
        if kept := self._due_code([file.name for file in pending]):
            return [msgspec.structs.replace(file, kept=kept) for file in pending]
        return pending

    def confirm(self, pending: ScheduleFile) -> None:
        """Note that the store has been told, and did not refuse it."""
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
    """Return the start of a file's content, as much as a task file may have."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                return os.read(descriptor, MAX_BYTES)
        finally:
            os.close(descriptor)
    return b""
