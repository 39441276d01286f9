"""Claimed files: files in `incoming/`, on the way to the directories of their runs.

A file is claimed by a rename, and filed away some time after its runs are safely in the store (see `filer`). This
module also recovers files that a crash or power cut left before that.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from aqueue.errors import BusyError, DiskFullError, FileError
from aqueue.folder import linked
from aqueue.folder.layout import Folder, is_text, printable
from aqueue.folder.rejected import Rejected
from aqueue.intake import filing
from aqueue.intake.parser import Parser
from aqueue.intake.preparing import Preparing
from aqueue.model.events import FileRejected, Notice, Report
from aqueue.model.submission import Submission
from aqueue.store.database import make_durable

RunsOf = Callable[[Sequence[str]], Mapping[str, Sequence[int]]]
"""A function that returns the ids of the runs of claimed files, by name; nothing for files not in the store."""

_MAX_RECENT: Final = 1 << 20
"""The most bytes of recent files in memory, about."""

_SLICE: Final = 500


class ClaimedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A valid file that this server has claimed.

    Attributes:
        name: its name in `incoming/`, which the store uses as its key.
        source: its path within the folder before it was claimed.
        content: the bytes read from it.
        is_left_behind: True if another server claimed it, which is gone or about to file it away.
    """

    name: str
    source: str
    requests: Sequence[Submission]
    content: bytes
    is_left_behind: bool = False

    @property
    def after(self) -> set[str]:
        """Return the entries of `after` of all its runs, as written."""
        return {written for request in self.requests for written in request.after}

    def is_named_in(self, other: "ClaimedFile") -> bool:
        """Return True if `after` in another file names one of its tasks, runs or groups."""
        return any(request.is_named_in(other.after) for request in self.requests)


class ClaimedFiles:
    """The files in `incoming/`.

    Args:
        folder: the folder they were dropped into.
        report: is called for each bad file.
        preparing: prepares their submissions for the store.
        rejected: where bad files go.
        runs_of: returns the runs that the store knows of files.
    """

    def __init__(
        self,
        folder: Folder,
        parser: Parser,
        report: Report,
        preparing: Preparing,
        rejected: Rejected,
        runs_of: RunsOf,
    ) -> None:
        self._folder = folder
        self._incoming = str(folder.incoming)
        self._parser = parser
        self._report = report
        self._preparing = preparing
        self._rejected = rejected
        self._runs_of = runs_of
        self._recent: dict[str, tuple[str, bytes]] = {}
        self._size_of_recent = 0

    def remember(self, files: Iterable[ClaimedFile]) -> None:
        """Remember what was read from the files accepted last, in case somebody still writes to them."""
        for file in files:
            if not file.is_left_behind:
                self._recent[file.name] = (file.source, file.content)
                self._size_of_recent += _size(file.content)
        while self._size_of_recent > _MAX_RECENT:
            _, content = self._recent.pop(next(iter(self._recent)))
            self._size_of_recent -= _size(content)

    def file_away(self, names: Sequence[str]) -> None:
        """Move the files that are in the store to the directories of their runs, or back if written since.

        Args:
            names: their names in `incoming/`.

        Raises:
            OSError: the store cannot be flushed to the disk.
            DiskFullError, BusyError: the store cannot be read.
        """
        runs = self._known(names)
        if runs:
            # A power cut could undo their transactions: then the files in `incoming/` are all there is.
            make_durable(self._folder)
        for name, ids in runs.items():
            self._move(name, ids)

    def _move(self, name: str, ids: Sequence[int]) -> None:
        source, content = self._recent.get(name, (None, None))
        try:
            again = filing.file_away(self._folder, name, ids, content, source)
        except OSError:
            # The disk is full, or somebody is writing to it: then it is left for later. Or another was faster, or
            # a run of it was dequeued.
            return
        if again is not None:
            self._report_again(again)

    def recover(self, last_id: Callable[[], int]) -> Iterator[ClaimedFile]:
        """Recover files left behind by a crash, as `left_behind` does. Call this before accepting any file.

        Args:
            last_id: returns the highest id the store has ever given. A power cut can undo its last transactions;
                their files are still in `incoming/`, and their ids will be given again.
        """
        # Listed before the store is asked: another server may be making the directory of a new run.
        directories = [path for path in self._folder.runs.iterdir() if path.name.isdigit()]
        last = last_id()
        for directory in directories:
            if int(directory.name) > last:
                # Renamed, not removed, because the store may be an old copy.
                aside = directory.with_name(f"{directory.name}.unknown-{os.urandom(3).hex()}")
                with contextlib.suppress(OSError):
                    directory.rename(aside)
                    self._report(
                        Notice(
                            f"run {directory.name} is not in the database: its files are now in {aside}",
                            urgent=True,
                        )
                    )
        return self.left_behind(0.0)

    def left_behind(self, seconds: float) -> Iterator[ClaimedFile]:
        """Yield the files that are not in the store, although their server must be gone, in the order of claims.

        Args:
            seconds: the time in `incoming/` after which a server must be gone.
        """
        self._preparing.begin()
        try:
            unknown = self._unknown()
        except (DiskFullError, BusyError) as error:
            self._report(Notice(f"{error}; files left in {self._incoming} wait for that", urgent=True))
            return
        for name in unknown:
            path = self._folder.incoming / name
            with contextlib.suppress(FileNotFoundError):
                if linked.is_copy(path, time.time()):
                    continue
                # With 0, take all, even if the clock was set back since they arrived.
                is_left = not seconds or time.time() - path.stat().st_ctime >= seconds
                if is_left and (file := self._reread(path)):
                    yield file

    def _unknown(self) -> list[str]:
        """Return the names in `incoming/` of files that are not in the store, in the order of claims."""
        unknown: list[str] = []
        with os.scandir(self._incoming) as entries:
            names = (entry.name for entry in entries)
            while some := list(islice(names, _SLICE)):
                known = self._known(some)
                unknown += [name for name in some if name not in known]
        return sorted(unknown)

    def _known(self, names: Iterable[str]) -> Mapping[str, Sequence[int]]:
        """Return the runs of those of these files that are in the store."""
        # The store has no names that are not UTF-8.
        return self._runs_of([name for name in names if is_text(name)])

    def _reread(self, path: Path) -> ClaimedFile | None:
        try:
            linked.finish(str(path))
            claim = filing.Claim.named(path.name)
            content = filing.read(path)
            if not claim.is_of(content):
                self._report_again(filing.put_back(self._folder, path.name))
                return None
            parsed = self._parser.parse(content, path.name, claim.stem, claim.queue)
            requests = self._preparing.recover(parsed, path.name)
        except (FileNotFoundError, BlockingIOError):
            # Another server has it, or somebody is writing to it: it is taken later.
            return None
        except OSError as error:
            self._report(Notice(f"{path} cannot be read: {error.strerror}", urgent=True))
            return None
        except (DiskFullError, BusyError) as error:
            self._report(Notice(f"{error}; {path} waits for that", urgent=True))
            return None
        except (FileError, ValueError) as error:
            # It was valid when it was claimed. The configuration, or aqueue itself, has changed since.
            bad = error if isinstance(error, FileError) else FileError(path.name, 0, 0, str(error))
            try:
                moved_to = self._rejected.move(str(path), path.name, bad.text())
            except OSError as problem:
                self._report(Notice(f"{path} cannot be moved away: {problem.strerror}", urgent=True))
                return None
            self._report(FileRejected(path.name, bad.message, bad.hint, moved_to, bad.lines()[1:]))
            return None
        source = f"{claim.stem}.yaml"
        return ClaimedFile(name=path.name, source=source, requests=requests, content=content, is_left_behind=True)

    def _report_again(self, path: str) -> None:
        self._report(Notice(f"{printable(path)} was written while it was being claimed: it is read again"))


def _size(content: bytes) -> int:
    """Return about how many bytes a recent file takes in memory."""
    return len(content) + 512


def in_order(files: Sequence[ClaimedFile]) -> Sequence[ClaimedFile]:
    """Return files sorted so that each follows those its runs come after; files in a cycle keep their order."""
    if not any(request.after for file in files for request in file.requests):
        return files
    left, ordered = list(files), list[ClaimedFile]()
    while left:
        free = [file for file in left if not any(one.is_named_in(file) for one in left if one is not file)] or left
        ordered += free
        left = [file for file in left if not any(file is one for one in free)]
    return ordered
