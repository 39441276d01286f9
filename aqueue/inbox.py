"""The inbox: task files in the folder → runs in the store, each exactly once.

A path comes in as a hint. `look` examines the file: it may be unsettled (somebody still writes it: look again),
bad (moved to `rejected/`), or good: then it is renamed into `incoming/`, which is the claim. The claimed files
of one look are given to the store together, in one transaction; once that is safely on the disk, `file_away`
moves them to their runs' folders. `recover` takes up what a crash or a power cut left in `incoming/`. All of
this is synchronous, and runs in a worker thread.
"""

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from aqueue import documents, taskfile
from aqueue.config import Config
from aqueue.errors import FileError
from aqueue.events import FileRejected, Notice, Report
from aqueue.folder import Folder
from aqueue.leases import hold_still
from aqueue.models import Task, is_name

BATCH: Final = 64
"""How many files are accepted in one transaction at most."""

_SECOND_LOOK: Final = 0.15
_SECOND_LOOK_AT_EMPTY: Final = 1.0
_RETRIES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
_LOOKS_BEFORE_SAYING_SO: Final = 20
_QUIET: Final = 0.05
_WHEN_FULL: Final = 1.0


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A good file that is ours now.

    Attributes:
        name: its name in `incoming/`; also what the store knows it by.
        source: its path within the folder, before it was claimed.
        is_left_behind: whether it was claimed by somebody who is gone, or is about to move it to its runs.
    """

    name: str
    source: str
    tasks: list[Task]
    is_left_behind: bool = False


class _Seen(msgspec.Struct, frozen=True):
    """What a file was like when it was last looked at."""

    signature: tuple[int, int, int, int]
    since: float
    looks: int


class Inbox:
    """The way from the folder to the store.

    Args:
        folder: to take files from.
        config: read anew at each look.
        report: is told about bad files.
    """

    def __init__(self, folder: Folder, config: Callable[[], Config], report: Report) -> None:
        self._folder = folder
        self._root = str(folder.path)
        self._incoming = str(folder.incoming)
        self._config = config
        self._report = report
        self._prefix = secrets.token_hex(6)
        self._count = 0
        self._seen: dict[str, _Seen] = {}
        self._due: dict[str, float] = {}
        self._stuck: set[tuple[str, _Seen | None]] = set()
        self._is_closed = False

    @property
    def next_look(self) -> float | None:
        """When to look again at a file that was not settled, on the monotonic clock; None if there is none."""
        return min(self._due.values(), default=None)

    def due(self, now: float) -> list[str]:
        """The unsettled files to look at again by now."""
        return [path for path, at in self._due.items() if at <= now]

    def scan(self) -> list[str]:
        """Every task file that is there now."""
        found = []
        for directory in (self._folder.path, *self._folder.directories()):
            with contextlib.suppress(OSError), os.scandir(directory) as entries:
                found += [entry.path for entry in entries if self._folder.is_task_file(entry.path)]
        return found

    def arrivals(self, hints: Iterable[str]) -> list[str]:
        """The task files that changed paths stand for, in the order in which they arrived."""
        if not self._is_open():
            return []
        hints = set(hints)
        paths = self.scan() if any(map(self._folder.is_sub_folder, hints)) else hints
        arrived = []
        for path in filter(self._folder.is_task_file, paths):
            try:
                arrived.append((os.lstat(path).st_ctime_ns, path))
            except OSError:
                self._forget(path)
        return [path for _, path in sorted(arrived)]

    def _is_open(self) -> bool:
        """Whether files are taken at all; where queues are disabled they stay where they are."""
        why = self._config().disabled_by
        if why is not None:
            self._seen.clear()
            self._due.clear()
            if not self._is_closed:
                self._report(Notice(f"queues are disabled ({why}): task files stay where they are", urgent=True))
        self._is_closed = why is not None
        return not self._is_closed

    def look(self, paths: Iterable[str]) -> list[Claimed]:
        """Examine task files, and claim the good ones."""
        claimed = (self._look_at(path) for path in paths)
        return [file for file in claimed if file is not None]

    def file_away(self, file: Claimed, ids: Sequence[int]) -> None:
        """Move a file that is in the store to the folders of its runs."""
        if not os.path.lexists(f"{self._incoming}/{file.name}"):
            # Another server that recovered it was faster, or a run of it was dequeued.
            return
        try:
            self._folder.file_away(file.name, ids)
        except OSError:
            # The disk is full: then it is left for later. Or another was faster just now.
            return

    def recover(self, last_id: Callable[[], int]) -> list[Claimed]:
        """Take up what a crash left behind, before anything is accepted.

        Args:
            last_id: the highest id that the store ever gave. A power cut may have taken its last transactions;
                their files are still in `incoming/`, and their ids will be given again.
        """
        # Listed before the store is asked: another server may be making the directory of a new run.
        directories = [path for path in self._folder.runs.iterdir() if path.name.isdigit()]
        last = last_id()
        for directory in directories:
            if int(directory.name) > last:
                # Put aside, not removed: perhaps it is the store that is an old copy.
                aside = directory.with_name(f"{directory.name}.unknown-{secrets.token_hex(3)}")
                with contextlib.suppress(OSError):
                    os.rename(directory, aside)
                    self._report(
                        Notice(f"there is no run {directory.name}: its files are now in {aside}", urgent=True)
                    )
        return self.left_behind(0.0)

    def left_behind(self, seconds: float) -> list[Claimed]:
        """The files that have been in `incoming/` for so long that whoever claimed them must be gone."""
        files = []
        for path in sorted(self._folder.incoming.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_ctime >= seconds and (file := self._reread(path)):
                    files.append(file)
        return files

    def _look_at(self, path: str) -> Claimed | None:
        try:
            status = os.lstat(path)
        except OSError:
            self._forget(path)
            return None
        if stat.S_ISDIR(status.st_mode):
            self._forget(path)
            return None
        seen = self._see(path, status)
        try:
            if not stat.S_ISREG(status.st_mode):
                raise FileError(self._name(path), 0, 0, "is not a regular file", "drop a copy of the file itself")
            if status.st_uid != os.geteuid():
                raise FileError(
                    self._name(path), 0, 0, f"belongs to user {status.st_uid}", "drop a file of your own"
                )
            return self._claim(path, seen)
        except FileError as error:
            empty = stat.S_ISREG(status.st_mode) and status.st_size == 0
            patience = _SECOND_LOOK_AT_EMPTY if empty else _SECOND_LOOK
            if time.monotonic() - seen.since < patience:
                self._due[path] = seen.since + patience
            else:
                self._reject(path, error, seen)
        except FileNotFoundError:
            self._forget(path)
        except OSError as error:
            self._forget(path)
            self._complain(path, seen, f"{self._name(path)} cannot be taken: {error.strerror}")
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._look_later(path, _WHEN_FULL)
        return None

    def _claim(self, path: str, seen: _Seen) -> Claimed | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            raise FileError(
                self._name(path), 0, 0, "cannot be read: permission denied", "make it readable: chmod u+r"
            ) from None
        try:
            settled = hold_still(descriptor)
            if settled is None:
                settled = time.monotonic() - seen.since >= _QUIET
            if not settled:
                if seen.looks == _LOOKS_BEFORE_SAYING_SO:
                    self._report(
                        Notice(f"{self._name(path)} is still open for writing; it is taken once it is closed")
                    )
                self._look_later(path, _RETRIES[min(seen.looks, len(_RETRIES) - 1)])
                return None
            if _signature(os.fstat(descriptor)) != seen.signature:
                self._look_later(path, 0.0)
                return None
            tasks = self._parse(path, os.read(descriptor, min(seen.signature[2], documents.LARGEST) + 1))
            name = self._incoming_name(path)
            incoming = f"{self._incoming}/{name}"
            os.rename(path, incoming)
            if _signature(os.stat(incoming)) != seen.signature:
                # It was written, or another took its place, in the instant before the rename: this was not
                # the file that was read. Where a third one lies there now, it is taken as it is later.
                with contextlib.suppress(FileExistsError):
                    os.link(incoming, path)
                    os.unlink(incoming)
                self._look_later(path, 0.0)
                return None
        finally:
            os.close(descriptor)
        self._forget(path)
        return Claimed(name=name, source=self._name(path), tasks=tasks)

    def _look_later(self, path: str, seconds: float) -> None:
        self._due[path] = time.monotonic() + seconds

    def _parse(self, path: str, content: bytes) -> list[Task]:
        queue, stem = self._place(path)
        return self._parse_as(content, self._name(path), stem, queue)

    def _parse_as(self, content: bytes, file: str, stem: str, queue: str) -> list[Task]:
        defaults = self._config().task_defaults(
            name=stem if is_name(stem) else None,
            queue=queue or None,
            working_dir=str(self._folder.parent),
            base=str(self._folder.parent),
        )
        return taskfile.parse(documents.decode(content, file), file, defaults)

    def _place(self, path: str) -> tuple[str, str]:
        """What a task gets from where its file is: the queue, empty at the top of the folder, and the name."""
        directory, _, name = path.rpartition("/")
        queue = "" if directory == self._root else directory.rpartition("/")[2]
        return queue, name.rpartition(".")[0]

    def _incoming_name(self, path: str) -> str:
        """A unique name that tells what the tasks get from where the file was."""
        self._count += 1
        parts = (part if is_name(part) else "" for part in self._place(path))
        return f"{self._prefix}{self._count:06x}~{'~'.join(parts)}.yaml"

    def _reread(self, path: Path) -> Claimed | None:
        try:
            _, queue, stem = path.name.removesuffix(".yaml").split("~")
            tasks = self._parse_as(path.read_bytes(), path.name, stem, queue)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._report(Notice(f"{path} cannot be read: {error.strerror}", urgent=True))
            return None
        except (FileError, ValueError) as error:
            # It was good when it was claimed: the configuration, or aqueue itself, has changed since.
            hint = getattr(error, "hint", "")
            try:
                moved_to = self._move_to_rejected(str(path), path.name, f"{error}\n{hint}".rstrip())
            except OSError as problem:
                self._report(Notice(f"{path} cannot be moved away: {problem.strerror}", urgent=True))
                return None
            self._report(FileRejected(path.name, str(error), hint, moved_to))
            return None
        return Claimed(name=path.name, source=f"{stem}.yaml", tasks=tasks, is_left_behind=True)

    def _reject(self, path: str, error: FileError, seen: _Seen) -> None:
        self._forget(path)
        hint = f"\n{error.hint}" if error.hint else ""
        try:
            moved_to = self._move_to_rejected(path, path[len(self._root) + 1 :], f"{error.message}{hint}")
        except FileNotFoundError:
            return
        except OSError as problem:
            self._complain(path, seen, f"{error.message}; it cannot be moved away: {problem.strerror}")
            return
        self._report(FileRejected(self._name(path), error.message, error.hint, moved_to))

    def _move_to_rejected(self, path: str, name: str, error: str) -> str:
        target = self._folder.rejected / name
        # There must be room for the endings.
        while len(os.fsencode(target.name)) > 230:
            target = target.with_name(target.stem[:-10] + target.suffix)
        stem = target.stem
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 1
        while os.path.lexists(target):
            number += 1
            target = target.with_name(f"{stem}-{number}{target.suffix}")
        os.rename(path, target)
        target.with_name(target.name + ".error").write_text(
            error + "\n", encoding="utf-8", errors="backslashreplace"
        )
        return _printable(os.path.relpath(target, self._folder.path))

    def _see(self, path: str, status: os.stat_result) -> _Seen:
        seen = self._seen.get(path)
        if seen is None or seen.signature != _signature(status):
            seen = _Seen(_signature(status), time.monotonic(), 0)
        else:
            seen = _Seen(seen.signature, seen.since, seen.looks + 1)
        self._seen[path] = seen
        self._due.pop(path, None)
        return seen

    def _forget(self, path: str) -> None:
        self._seen.pop(path, None)
        self._due.pop(path, None)

    def _complain(self, path: str, seen: _Seen, text: str) -> None:
        """Say that a file stays where it is, once for each state it is in."""
        key = (path, _Seen(seen.signature, 0.0, 0))
        if key not in self._stuck:
            self._stuck.add(key)
            self._report(Notice(text, urgent=True))

    def _name(self, path: str) -> str:
        return _printable(path[len(self._root) + 1 :])


def _printable(name: str) -> str:
    """A file's name, also where it is not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _signature(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
