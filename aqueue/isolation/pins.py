"""Snapshots of code, pinned by private refs in its repository for as long as runs need them.

The store records each ref before it is written, until after it is removed. So a later removal finds all unused
refs, even if a process died in between. An unused ref stays for ten minutes, because a run that needs it may be
about to be queued.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from aqueue.errors import SnapshotError
from aqueue.isolation import missing_files, refs, snapshot
from aqueue.isolation.origin import Origin
from aqueue.model.schedule import KeptCode
from aqueue.model.submission import Submission
from aqueue.model.task import Code, Isolation, Snapshot, Task
from aqueue.store.store import Store
from aqueue.store.work import Work

T = TypeVar("T")

_UNUSED_SECONDS: Final = 600.0
"""The age at which a ref or a temporary file that nobody uses is removed."""

Snapshots = dict[Code, Snapshot]
"""The snapshots that are taken already."""


class Do(Protocol):
    """A function that does a piece of work on the store in one transaction."""

    def __call__(self, work: Work[T], /) -> T:
        """Do the work, and return its result."""


class Pins:
    """The snapshots of a folder's runs.

    Args:
        scratch: a directory for temporary files.
        write: writes to the store.
        warn: is called with a warning for the user.
        origin: of the checkout in which runs are queued; runs in the same working tree get its commit.
    """

    def __init__(
        self, scratch: Path, write: Do, warn: Callable[[str], None], origin: Origin | None = None
    ) -> None:
        self._scratch = scratch
        self._write = write
        self._warn = warn
        self._origin = origin

    def with_snapshot(self, request: Submission, taken: Snapshots) -> Submission:
        """Return the request with a pinned snapshot of its code, if its runs are to be isolated.

        Args:
            taken: is used, and added to: requests that are queued together have the same code.

        Raises:
            SnapshotError, DiskFullError: the snapshot cannot be taken or pinned.
        """
        task, key = request.task, request.task.code
        if task.isolate is None or key is None:
            return request
        if key not in taken:
            self._scratch.mkdir(mode=0o700, exist_ok=True)
            same = self._origin.snapshot(task.working_dir) if self._origin else None
            taken[key] = (
                snapshot.take(task.working_dir, task.isolate, self._scratch)
                if same is None
                else snapshot.take_again(same, task.isolate, self._scratch)
            )
            self._pin(taken[key])
            self._warn_of_untracked_files(task, task.isolate)
        isolate = msgspec.structs.replace(task.isolate, snapshot=taken[key])
        return msgspec.structs.replace(request, task=msgspec.structs.replace(task, isolate=isolate))

    def snapshot_for(self, task: Task, as_of: float) -> KeptCode:
        """Return a pinned snapshot of the code that a task needs, or why there can be none.

        Args:
            as_of: the time at which it was asked for, in seconds since the epoch.

        Raises:
            DiskFullError, BusyError: it cannot be taken or pinned for now.
        """
        try:
            return KeptCode(as_of, self.with_snapshot(Submission(task=task), {}).task.snapshot)
        except SnapshotError as error:
            return KeptCode(as_of, why_not=f"isolate: {error.message}")

    def remove_unused(self) -> None:
        """Remove the refs that no run needs any more, and temporary files of processes that died."""
        before = time.time() - _UNUSED_SECONDS
        for left in self._scratch.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < before:
                    shutil.rmtree(left, ignore_errors=True)
        unused = self._write(lambda connection: Store(connection).snapshots.unused(before))
        for ref, repository in unused:
            refs.unpin(repository, ref)
        if unused:
            self._write(lambda connection: Store(connection).snapshots.forget(ref for ref, _ in unused))

    def _warn_of_untracked_files(self, task: Task, isolation: Isolation) -> None:
        words = task.command.split() if isinstance(task.command, str) else task.command
        for path in missing_files.untracked(task.working_dir, isolation, words):
            self._warn(
                f"{task.name}: {path} is not tracked by git, so its checkout will not have it:"
                " `git add` it, or list it under `copy`"
            )

    def _pin(self, taken: Snapshot) -> None:
        new, now = refs.new_ref(taken.commit), time.time()
        ref = self._write(lambda connection: Store(connection).snapshots.use(taken, new, now))
        # Also if the store already had it: the process that recorded it may have died before it wrote it.
        refs.pin(taken.repository, ref, taken.commit)
