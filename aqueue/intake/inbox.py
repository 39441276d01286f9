"""The inbox: task files in the folder → runs in the store, each exactly once.

A path comes in as a hint. `look` examines the file: it may be unsettled (somebody still writes it: look again),
bad (moved to `rejected/`), or good: then it is renamed into `incoming/`, which is the claim. The claimed files
of one look are given to the store together, in one transaction; once that is safely on the disk, `file_away`
moves them to their runs' folders. `recover` takes up what a crash or a power cut left in `incoming/`. A file with
schedules is not claimed: it stays, and what it says goes to `schedule_files`. All of this is synchronous, and
runs in a worker thread.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from aqueue.errors import DISK_FULL, EXHAUSTED, AqueueError, BusyError, DiskFullError, FileError
from aqueue.folder import linked, trust
from aqueue.folder.layout import Folder, printable
from aqueue.folder.moving import move_to_free_place
from aqueue.folder.settled import hold_still
from aqueue.folder.settling import Seen, Settling, Signature, is_as_seen, signature
from aqueue.formats import yaml_document
from aqueue.formats.task_file import Content
from aqueue.intake import overlooked
from aqueue.intake.claimed_files import ClaimedFile, ClaimedFiles, Preparing, in_order
from aqueue.intake.filing import Claim
from aqueue.intake.schedule_files import ScheduleFile, ScheduleFiles
from aqueue.model.config import Config
from aqueue.model.events import FileRejected, Notice, Report
from aqueue.model.submission import Submission

BATCH: Final = 64
"""The number of files that are accepted in one transaction at most."""

_SECOND_LOOK: Final = 0.15
_SECOND_LOOK_AT_EMPTY: Final = 1.0
_SECOND_LOOK_AT_AFTER: Final = 1.0
_WHEN_FULL: Final = 1.0
_TRANSIENT: Final = (*DISK_FULL, *EXHAUSTED)


class Inbox(ClaimedFiles):
    """The way from the folder to the store.

    Args:
        folder: to take files from.
        config: read anew at each look.
        report: is told about bad files.
        has_schedules: tells whether a file, by its path within the folder, has schedules that are in force; None:
            only those in `schedule_files` have, because there is no other server.
        preparing: is asked for what goes into the store.
    """

    def __init__(
        self,
        folder: Folder,
        config: Callable[[], Config],
        report: Report,
        has_schedules: Callable[[str], bool] | None = None,
        preparing: Preparing | None = None,
    ) -> None:
        super().__init__(folder, config, report, preparing)
        self._has_schedules = has_schedules
        self._root = str(folder.path)
        self._prefix = os.urandom(6).hex()
        self._count = 0
        self._settling = Settling(lambda text: report(Notice(text)))
        self._overlooked = overlooked.Overlooked(report)
        self._is_closed = False
        self.schedule_files = ScheduleFiles(folder, self._rejected, report, self._preparing.owed)
        """The files that stay where they are, because they say when to run something."""

    @property
    def next_look(self) -> float | None:
        """Return when to look again at an unsettled file, on the monotonic clock; None if there is none."""
        return self._settling.next_look

    def due(self, now: float) -> list[str]:
        """Return the unsettled files to look at again by now."""
        return self._settling.due(now)

    def scan(self) -> list[str]:
        """Return every task file that is there now."""
        found = overlooked.scan(self._folder)
        for path, why in found.overlooked.items():
            self._overlooked.say(path, why)
        self._overlooked.forget_gone()
        return found.task_files

    @property
    def is_in_doubt(self) -> bool:
        """Return True if a schedule file seems to be gone, but may only be being saved."""
        return any(known.missing_since is not None for known in self._settling.known.values())

    def reread(self) -> None:
        """Read the files that stay where they are once more: there is another configuration."""
        for known in self._settling.known.values():
            known.stays_as = None

    def arrivals(self, hints: Iterable[str]) -> list[str]:
        """Return the task files that changed paths stand for, in the order in which they arrived."""
        self._open_or_close()
        paths = set(hints)
        unchanged: dict[str, Signature] = {}
        if any(map(self._folder.is_sub_folder, paths)):
            staying = ((path, known.stays_as) for path, known in self._settling.known.items())
            unchanged = {path: as_it_is for path, as_it_is in staying if as_it_is and path not in paths}
            paths = {*self.scan(), *self.schedule_files.paths}
        arrived = []
        for path in paths:
            if not self._folder.is_task_file(path):
                self._overlooked.say(path, overlooked.why_overlooked(self._folder, path))
                continue
            try:
                status = os.lstat(path)
            except OSError:
                if path in self.schedule_files.paths:
                    arrived.append((0, path))
                    self._settling.leave(path)
                else:
                    self._settling.forget(path)
            else:
                if unchanged.get(path) != signature(linked.followed(path, status)):
                    arrived.append((status.st_ctime_ns, path))
        return [path for _, path in sorted(arrived)]

    def _open_or_close(self) -> None:
        """Note whether queues are disabled: files with tasks then stay where they are."""
        why = self._config().disabled_by
        if why is not None and not self._is_closed:
            self._report(Notice(f"queues are disabled ({why}): task files stay where they are", urgent=True))
        self._is_closed = why is not None

    def look(self, paths: Iterable[str]) -> list[ClaimedFile]:
        """Examine task files, and claim the good ones; what comes after others is behind them."""
        self._preparing.begin()
        claimed = [file for path in paths if (file := self._look_at(path)) is not None]
        comes_after = any(request.after for file in claimed for request in file.requests)
        return in_order(claimed) if comes_after else claimed

    def confirm(self, file: ScheduleFile) -> None:
        """Note that the store has taken what was read in a schedule file."""
        self.schedule_files.confirm(file)
        if not file.error:
            # What was refused because of a name may be right now.
            path = f"{self._root}/{file.name}"
            for refused in self._refused():
                self._settling.of(refused).is_refused = False
                if refused != path:
                    self._settling.look_in(refused, 0.0)

    def refuse(self, file: ScheduleFile, error: AqueueError) -> None:
        """Note that the store does not take what was read in a schedule file."""
        path = f"{self._root}/{file.name}"
        known = self._settling.of(path)
        if not known.is_refused:
            # Files that change places are refused one after the other, but not when looked at together.
            known.is_refused = True
            for refused in self._refused():
                self._settling.look_in(refused, _SECOND_LOOK)
            return
        seen = Seen(known.stays_as or (0, 0, 0, 0), 0.0, 0)
        try:
            self._refuse(path, FileError(self._name(path), 0, 0, error.message, error.hint), seen)
        except (DiskFullError, BusyError):
            self._settling.look_in(path, _WHEN_FULL)

    def _look_at(self, path: str) -> ClaimedFile | None:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._miss(path)
            return None
        except OSError:
            # It may well be there.
            self._settling.of(path).missing_since = None
            self._settling.leave(path)
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
            self._settling.leave(path)
            self._complain(path, seen, f"{self._name(path)} cannot be taken: {error}")
            self._settling.look_in(path, _WHEN_FULL)
        except OSError as error:
            self._settling.leave(path)
            self._complain(path, seen, f"{self._name(path)} cannot be taken: {error.strerror}")
            self._look_again(path, error)
        return None

    def _claim_or_refuse(self, path: str, status: os.stat_result, seen: Seen) -> ClaimedFile | None:
        """Claim a file if it is good; refuse it if it has been bad for too long to be only half of one."""
        try:
            if not stat.S_ISREG(status.st_mode):
                raise FileError(self._name(path), 0, 0, *linked.why_no_file(path))
            if status.st_uid != os.geteuid():
                raise FileError(
                    self._name(path), 0, 0, f"belongs to user {status.st_uid}", "drop a file of your own"
                )
            if fault := trust.fault_of_task_file(path, status):
                self._leave_exposed(path, seen, fault)
                return None
            return self._claim(path, seen)
        except FileError as error:
            empty = stat.S_ISREG(status.st_mode) and status.st_size == 0
            patience = _SECOND_LOOK_AT_EMPTY if empty else _SECOND_LOOK
            if seen.age < patience:
                self._settling.look_at(path, seen.since + patience)
            else:
                self._refuse(path, error, seen)
            return None

    def _leave_exposed(self, path: str, seen: Seen, fault: trust.Fault) -> None:
        """Leave a file where it is that others can change; a `chmod` is a change that has it looked at again."""
        if seen.age < _SECOND_LOOK:
            # Whoever copies a file may set its mode last.
            self._settling.look_at(path, seen.since + _SECOND_LOOK)
            return
        self._settling.leave(path)
        if self._is_scheduled(path):
            self.schedule_files.put_fault(path, FileError(self._name(path), 0, 0, *fault))
            return
        self._complain(path, seen, f"{self._name(path)} cannot be taken: {fault.text}; {fault.hint}")

    def _refuse(self, path: str, error: FileError, seen: Seen) -> None:
        """Reject a bad file; a bad edit of a schedule file stays, and so does all where queues are disabled."""
        if self._is_scheduled(path):
            self._settling.stay(path, seen.signature)
            self.schedule_files.put_error(path, error)
            return
        self.schedule_files.paths.pop(path, None)
        self._settling.of(path).is_refused = False
        if self._is_closed:
            self._settling.stay(path, seen.signature)
        else:
            self._reject(path, error, seen)

    def _is_scheduled(self, path: str) -> bool:
        if self._has_schedules is None:
            return path in self.schedule_files.paths
        name = self._relative(path)
        # Others cannot be stored, and have none.
        return name == self._name(path) and self._has_schedules(name)

    def _claim(self, path: str, seen: Seen) -> ClaimedFile | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            raise FileError(
                self._name(path), 0, 0, "cannot be read: permission denied", "make it readable: chmod u+r"
            ) from None
        try:
            if not self._settling.is_settled(path, self._name(path), descriptor, seen):
                return None
            content = os.read(descriptor, min(seen.signature[2], yaml_document.MAX_BYTES) + 1)
            queue, stem = self._place(path)
            parsed = self._parse_as(content, self._name(path), stem, queue)
            if parsed.schedules or self._is_closed:
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
        if path in self.schedule_files.paths:
            self.schedule_files.end(path)
        return ClaimedFile(name=name, source=self._name(path), requests=requests, content=content)

    def _prepared(self, path: str, content: Content, seen: Seen) -> Sequence[Submission] | None:
        """Return the submissions for the store; None if what they come after may yet be dropped."""
        comes_after = any(request.after for request in content.requests)
        age = seen.age
        if comes_after and age < _SECOND_LOOK:
            # Also if there is an older run of that name.
            self._settling.look_at(path, seen.since + _SECOND_LOOK)
            return None
        try:
            return self._preparing.prepare(content)
        except FileError:
            if comes_after and age < _SECOND_LOOK_AT_AFTER:
                self._settling.look_in(path, _SECOND_LOOK)
                return None
            raise

    def _leave(self, path: str, content: Content, seen: Seen) -> None:
        """Leave a good file where it is, and have what it says about schedules be known."""
        if content.schedules and self._name(path) != self._relative(path):
            raise FileError(self._name(path), 0, 0, "has a name that is not UTF-8", "rename it")
        self._settling.stay(path, seen.signature)
        if content.schedules:
            self.schedule_files.put(path, content.schedules)
        elif path in self.schedule_files.paths:
            self.schedule_files.end(path)

    def _rename(self, path: str, name: str, descriptor: int, seen: Seen) -> bool:
        """Claim a file; returns whether it was the one that was read, and stays so."""
        incoming = f"{self._incoming}/{name}"
        status = linked.move(path, incoming, descriptor)
        is_the_one = status is not None and signature(status) == seen.signature
        if is_the_one and hold_still(descriptor) is not False:
            linked.finish(incoming)
            return True
        # Another took its place in the instant before the rename, or somebody has written to it or waits to. Where
        # a third one lies there now, it is taken as it is later.
        with contextlib.suppress(FileExistsError):
            move_to_free_place(Path(incoming), Path(path))
        linked.forget(incoming)
        self._settling.look_in(path, 0.0)
        return False

    def _miss(self, path: str) -> None:
        """Note that a path leads to no file; a schedule file may only be being saved, and gets a second look."""
        known, now = self._settling.known.get(path), time.monotonic()
        since = now if known is None or known.missing_since is None else known.missing_since
        is_awaited = path in self.schedule_files.paths
        if is_awaited and now < since + _SECOND_LOOK:
            self._settling.leave(path)
            known = self._settling.of(path)
            known.missing_since, known.next_look = since, since + _SECOND_LOOK
            return
        self._settling.forget(path)
        if is_awaited:
            self.schedule_files.end(path)

    def _refused(self) -> list[str]:
        """Return the schedule files that the store did not take at their last look."""
        return [path for path, known in self._settling.known.items() if known.is_refused]

    def _look_again(self, path: str, error: OSError) -> None:
        """Look again at a file that could not be dealt with, if that may be over without a change of the file."""
        if error.errno in _TRANSIENT:
            self._settling.look_in(path, _WHEN_FULL)

    def _place(self, path: str) -> tuple[str, str]:
        """Return the queue and the name that a task gets from where its file is; at the top, no queue."""
        directory, _, name = path.rpartition("/")
        queue = "" if directory == self._root else directory.rpartition("/")[2]
        return queue, name.rpartition(".")[0]

    def _incoming_name(self, path: str, content: bytes) -> str:
        """Return a unique name that tells what the tasks get from where the file was."""
        self._count += 1
        return Claim.of(f"{self._prefix}{self._count:06x}", self._place(path), content).name

    def _reject(self, path: str, error: FileError, seen: Seen) -> None:
        self._settling.leave(path)
        try:
            moved_to = self._rejected.move(path, self._relative(path), error.text())
        except FileNotFoundError:
            return
        except OSError as problem:
            self._complain(path, seen, f"{error.message}; it cannot be moved away: {problem.strerror}")
            self._look_again(path, problem)
            return
        self._settling.forget(path)
        if not is_as_seen(f"{self._root}/{moved_to}", seen) and self._rejected.take_back(moved_to, path):
            # It was written in the instant before it was moved, and may be good now.
            self._settling.look_in(path, 0.0)
            return
        more = error.lines()[1:]
        self._report(FileRejected(self._name(path), error.message, error.hint, printable(moved_to), more))

    def _complain(self, path: str, seen: Seen, text: str) -> None:
        """Say that a file stays where it is, once for each state it is in."""
        known = self._settling.of(path)
        if known.told_as != seen.signature:
            known.told_as = seen.signature
            self._report(Notice(text, urgent=True))

    def _name(self, path: str) -> str:
        return printable(self._relative(path))

    def _relative(self, path: str) -> str:
        return path[len(self._root) + 1 :]
