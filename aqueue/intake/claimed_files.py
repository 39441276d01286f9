"""Claimed files: files in `incoming/`, on the way to the directories of their runs.

A file is claimed by a rename, and filed away once its runs are safely in the store. This module also recovers
files that a crash or power cut left in between.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from aqueue.errors import BusyError, DiskFullError, FileError
from aqueue.folder import linked
from aqueue.folder.layout import Folder, printable
from aqueue.folder.rejected import Rejected
from aqueue.intake import filing
from aqueue.intake.parser import Parser
from aqueue.intake.preparing import Preparing
from aqueue.model.events import FileRejected, Notice, Report
from aqueue.model.submission import Submission


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
    """

    def __init__(
        self, folder: Folder, parser: Parser, report: Report, preparing: Preparing, rejected: Rejected
    ) -> None:
        self._folder = folder
        self._incoming = str(folder.incoming)
        self._parser = parser
        self._report = report
        self._preparing = preparing
        self._rejected = rejected

    def file_away(self, file: ClaimedFile, ids: Sequence[int]) -> None:
        """Move a file that is in the store to the folders of its runs, or back if it has been written since."""
        if not os.path.lexists(f"{self._incoming}/{file.name}"):
            # Another server that recovered it was faster, or a run of it was dequeued.
            return
        try:
            source = None if file.is_left_behind else file.source
            again = filing.file_away(self._folder, file.name, ids, file.content, source)
        except OSError:
            # The disk is full, or somebody is writing to it: then it is left for later. Or another was faster.
            return
        if again is not None:
            self._report_again(again)

    def recover(self, last_id: Callable[[], int]) -> list[ClaimedFile]:
        """Recover files left behind by a crash. Call this before accepting any file.

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

    def left_behind(self, seconds: float) -> list[ClaimedFile]:
        """Return the files that have been in `incoming/` so long that their server must be gone."""
        files = []
        self._preparing.begin()
        for path in sorted(self._folder.incoming.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                if linked.is_copy(path, time.time()):
                    continue
                # With 0, take all, even if the clock was set back since they arrived.
                is_left = not seconds or time.time() - path.stat().st_ctime >= seconds
                if is_left and (file := self._reread(path)):
                    files.append(file)
        return files

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
