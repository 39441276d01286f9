"""Claiming a file: reading it while nobody can write to it, and renaming it into `incoming/`."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from aqueue.errors import FileError
from aqueue.folder import linked
from aqueue.folder.layout import Folder
from aqueue.folder.moving import move_to_free_place
from aqueue.folder.settled import take_lease
from aqueue.folder.settling import Seen, Settling, signature
from aqueue.formats import yaml_text
from aqueue.formats.task_file import Content
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.filing import Claim
from aqueue.intake.parser import Parser
from aqueue.intake.paths import Paths
from aqueue.intake.preparing import Preparing
from aqueue.intake.schedule_files import ScheduleFiles
from aqueue.model.config import Config
from aqueue.model.submission import Submission
from aqueue.threads import leave_event_loop

RECHECK_SECONDS: Final = 0.15
"""Seconds before another check of a file that may be half-written."""

_RECHECK_SECONDS_IF_AFTER: Final = 1.0
"""The same for a file whose tasks come after others that may not have been dropped yet."""

_LARGE: Final = 16 << 10
"""The size in bytes from which a file takes long to parse."""


class Claimer:
    """Claims the valid files of a folder.

    Args:
        config: returns the configuration. If it disables queues, files with tasks stay where they are.
        settling: tracks which files stay, and which to check again.
        schedule_files: takes the content of files that stay because they have schedules.
        preparing: prepares submissions for the store.
    """

    def __init__(
        self,
        folder: Folder,
        config: Callable[[], Config],
        parser: Parser,
        settling: Settling,
        schedule_files: ScheduleFiles,
        preparing: Preparing,
    ) -> None:
        self._paths = Paths(folder)
        self._incoming = str(folder.incoming)
        self._config = config
        self._parser = parser
        self._settling = settling
        self._schedule_files = schedule_files
        self._preparing = preparing
        self._prefix = os.urandom(6).hex()
        self._count = 0

    def claim(self, path: str, seen: Seen) -> ClaimedFile | None:
        """Claim a valid file, or leave it in place if it has schedules or queues are disabled.

        Returns:
            None if it stays, or has to be checked again.

        Raises:
            FileError: it has an error.
            DiskFullError, BusyError: the disk is full, or the store is busy.
            OSError: it is gone, or cannot be read or moved.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            raise FileError(
                self._paths.shown(path), 0, 0, "cannot be read: permission denied", "make it readable: chmod u+r"
            ) from None
        try:
            if not self._settling.is_settled(path, self._paths.shown(path), descriptor, seen):
                return None
            if seen.signature[2] > _LARGE:
                leave_event_loop()
            content = os.read(descriptor, min(seen.signature[2], yaml_text.MAX_BYTES) + 1)
            queue, stem = self._paths.defaults(path)
            parsed = self._parser.parse(content, self._paths.shown(path), stem, queue)
            if parsed.schedules or self._config().disabled_by is not None:
                leave_event_loop()
                self._leave(path, parsed, seen)
                return None
            requests = self._prepared(path, parsed, seen)
            if requests is None:
                return None
            name = self._incoming_name(path, content)
            if not self._rename(path, name, descriptor, seen):
                return None
        finally:
            os.close(descriptor)
        self._settling.forget(path)
        if path in self._schedule_files.paths:
            self._schedule_files.end(path)
        return ClaimedFile(name=name, source=self._paths.shown(path), requests=requests, content=content)

    def _prepared(self, path: str, content: Content, seen: Seen) -> Sequence[Submission] | None:
        """Return the submissions for the store; None if a run they come after may not have been dropped yet."""
        comes_after = any(request.after for request in content.requests)
        age = seen.age
        if comes_after and age < RECHECK_SECONDS:
            # Even if there is an older run of that name.
            self._settling.recheck_at(path, seen.since + RECHECK_SECONDS)
            return None
        try:
            return self._preparing.prepare(content)
        except FileError:
            if comes_after and age < _RECHECK_SECONDS_IF_AFTER:
                self._settling.recheck_in(path, RECHECK_SECONDS)
                return None
            raise

    def _leave(self, path: str, content: Content, seen: Seen) -> None:
        """Leave a valid file in place, and record its schedules."""
        if content.schedules and self._paths.shown(path) != self._paths.relative(path):
            raise FileError(self._paths.shown(path), 0, 0, "has a name that is not UTF-8", "rename it")
        self._settling.stay(path, seen.signature)
        if content.schedules:
            self._schedule_files.add(path, content.schedules)
        elif path in self._schedule_files.paths:
            self._schedule_files.end(path)

    def _rename(self, path: str, name: str, descriptor: int, seen: Seen) -> bool:
        """Claim a file, and return True if it is still the one that was read."""
        incoming = f"{self._incoming}/{name}"
        status = linked.move(path, incoming, descriptor)
        is_the_one = status is not None and signature(status) == seen.signature
        if is_the_one and take_lease(descriptor) is not False:
            linked.finish(incoming)
            return True
        # The file was replaced just before the rename, or somebody writes to it. Put it back, unless a new file
        # has taken its place: then it stays in `incoming/` and is recovered later.
        with contextlib.suppress(FileExistsError):
            move_to_free_place(Path(incoming), Path(path))
        linked.forget(incoming)
        self._settling.recheck_in(path, 0.0)
        return False

    def _incoming_name(self, path: str, content: bytes) -> str:
        """Return a unique name that records the default queue and name of the file's tasks."""
        self._count += 1
        return Claim.of(f"{self._prefix}{self._count:06x}", self._paths.defaults(path), content).name
