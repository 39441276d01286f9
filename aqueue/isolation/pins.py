"""Code as it was when runs were queued: kept by private references in its repository, for as long as runs need it.

The store knows of each reference before it is made, and until it is removed: whatever dies in between, the next
look finds what nobody needs. A reference that no run needs yet is left alone for ten minutes: somebody may be
about to queue the run.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from aqueue.errors import SnapshotError
from aqueue.isolation import snapshot as snapshots
from aqueue.isolation.origin import Origin
from aqueue.model.schedule import KeptCode
from aqueue.model.submission import Submission
from aqueue.model.task import Code, Isolation, Snapshot, Task
from aqueue.store.database import Work
from aqueue.store.store import Store

T = TypeVar("T")

_SPARED_SECONDS: Final = 600.0

Snapshots = dict[Code, Snapshot]
"""The snapshots taken already, for each working directory and the way in which its code is needed."""


class Do(Protocol):
    """Does a piece of work on the store, all of it at one moment, and returns what it returns."""

    def __call__(self, work: Work[T], /) -> T:
        """Do it."""


class Pins:
    """Keeps code, and lets go of it.

    Args:
        scratch: a directory for files that are needed meanwhile.
        write: to the store.
        warn: is told what a person may not have meant.
        origin: of the checkout in which runs are queued; those of its code have the very same.
    """

    def __init__(
        self, scratch: Path, write: Do, warn: Callable[[str], None], origin: Origin | None = None
    ) -> None:
        self._scratch = scratch
        self._write = write
        self._warn = warn
        self._origin = origin

    def keep(self, request: Submission, taken: Snapshots) -> Submission:
        """Return the request, which knows the code that its runs need, as it is now.

        Args:
            taken: is used, and added to: what is queued together has the same code.

        Raises:
            SnapshotError, DiskFullError: it cannot be kept.
        """
        task, key = request.task, request.task.code
        if task.isolate is None or key is None:
            return request
        if key not in taken:
            self._scratch.mkdir(mode=0o700, exist_ok=True)
            same = self._origin.snapshot(task.working_dir) if self._origin else None
            taken[key] = (
                snapshots.take(task.working_dir, task.isolate, self._scratch)
                if same is None
                else snapshots.take_again(same, task.isolate, self._scratch)
            )
            self._pin(taken[key])
            self._warn_of_what_is_left_out(task, task.isolate)
        isolate = msgspec.structs.replace(task.isolate, snapshot=taken[key])
        return msgspec.structs.replace(request, task=msgspec.structs.replace(task, isolate=isolate))

    def keep_for(self, task: Task, as_of: float) -> KeptCode:
        """Return the code that a task needs, as it is now, or why it cannot be kept.

        Args:
            as_of: when that was asked for.

        Raises:
            DiskFullError, BusyError: it cannot be kept now.
        """
        try:
            return KeptCode(as_of, self.keep(Submission(task=task), {}).task.snapshot)
        except SnapshotError as error:
            return KeptCode(as_of, why_not=f"isolate: {error.message}")

    def forget_unused(self) -> None:
        """Remove the references that no run needs any more, and what somebody left who died while making one."""
        before = time.time() - _SPARED_SECONDS
        for left in self._scratch.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < before:
                    shutil.rmtree(left, ignore_errors=True)
        doomed = self._write(lambda connection: Store(connection).snapshots.unused(before))
        for ref, repository in doomed:
            snapshots.unpin(repository, ref)
        if doomed:
            self._write(lambda connection: Store(connection).snapshots.forget(ref for ref, _ in doomed))

    def _warn_of_what_is_left_out(self, task: Task, isolation: Isolation) -> None:
        words = task.command.split() if isinstance(task.command, str) else task.command
        for path in snapshots.left_out(task.working_dir, isolation, words):
            self._warn(
                f"{task.name}: {path} is not tracked by git, so its checkout will not have it:"
                " `git add` it, or list it under `copy`"
            )

    def _pin(self, snapshot: Snapshot) -> None:
        new, now = snapshots.new_ref(snapshot.commit), time.time()
        ref = self._write(lambda connection: Store(connection).snapshots.use(snapshot, new, now))
        # Also where it is known: whoever was to make it may have died before that.
        snapshots.pin(snapshot.repository, ref, snapshot.commit)
