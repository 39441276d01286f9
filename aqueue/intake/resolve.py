"""Resolving submissions: checking the runs they come after, and taking snapshots of their code."""

import time
from collections.abc import Sequence
from typing import Final

from aqueue.errors import BusyError, DiskFullError, FileError, RunError, SnapshotError
from aqueue.formats.task_file import Content
from aqueue.isolation.pins import Do, Pins, Snapshots
from aqueue.model.schedule import Kept
from aqueue.model.submission import Submission
from aqueue.store.store import Store
from aqueue.threads import leave_event_loop

_AHEAD: Final = 5.0
"""Seconds within which a file that was read most likely reaches the store."""


class Resolver:
    """Prepares the submissions of files for the store.

    Args:
        read: runs a query on the store.
        keeper: takes snapshots of code.
    """

    def __init__(self, read: Do, keeper: Pins) -> None:
        self._read = read
        self._keeper = keeper
        self._taken: Snapshots = {}

    def begin(self) -> None:
        """Start a new batch: its runs need the code as it is now, so earlier snapshots are not reused."""
        self._taken = {}

    def prepare(self, content: Content) -> Sequence[Submission]:
        """Return the submissions of a file, ready for the store.

        Raises:
            FileError: it comes after an unknown run, or no snapshot of its code can be taken.
            DiskFullError: there is no room for a snapshot.
            BusyError: the store is busy.
        """
        if any(request.after for request in content.requests):
            leave_event_loop()
            self._check_known(content)
        return self._with_code(content)

    def recover(self, content: Content, name: str) -> Sequence[Submission]:
        """Return the submissions of a claimed file that was valid before.

        Args:
            name: its name in `incoming/`.

        Raises:
            FileError: no snapshot of its code can be taken any more.
            DiskFullError: there is no room for a snapshot.
            BusyError: the store is busy.
        """
        if self._read(lambda connection: bool(Store(connection).runs.of_file(name))):
            return content.requests
        return self._with_code(content)

    def due_code(self, names: Sequence[str]) -> Kept:
        """Return snapshots for runs that are due by now under the stored versions of these schedule files.

        The transaction that makes these runs also replaces the stored versions.
        """
        now = time.time()
        try:
            tasks = (
                self._read(lambda connection: Store(connection).due_times.due_tasks(names, now + _AHEAD))
                if names
                else ()
            )
            return {task.code: self._keeper.snapshot_for(task, now) for task in tasks if task.code is not None}
        except (DiskFullError, BusyError):
            # The runs will say that their code was not kept.
            return {}

    def _with_code(self, content: Content) -> list[Submission]:
        if not any(request.task.isolate for request in content.requests):
            return content.requests
        leave_event_loop()
        requests: list[Submission] = []
        for document, request in zip(content.documents, content.requests, strict=True):
            try:
                requests.append(self._keeper.with_snapshot(request, self._taken))
            except SnapshotError as error:
                message = f"isolate: {error.message}"
                raise document.error(message, error.hint, at=("isolate",), key=True) from None
        return requests

    def _check_known(self, content: Content) -> None:
        after = [request.after for request in content.requests]
        unknown = self._read(lambda connection: _unknown(Store(connection), after))
        if unknown:
            raise FileError.together(_located(content, *place) for place in unknown)


def _unknown(store: Store, after: Sequence[Sequence[str]]) -> list[tuple[int, int, RunError]]:
    """Return the entries of `after` that match no run: index of the submission, index of the entry, error."""
    found: list[tuple[int, int, RunError]] = []
    for index, entries in enumerate(after):
        for number, written in enumerate(entries):
            try:
                store.dependencies.resolve(written)
            except RunError as error:
                found.append((index, number, error))
    return found


def _located(content: Content, index: int, number: int, error: RunError) -> FileError:
    document, written = content.documents[index], content.requests[index].after[number]
    if content.requests[index].task.name == written:
        hint = "a run cannot come after itself"
    elif any(written in request.names() for request in content.requests):
        hint = f"it is in the same file: write needs: [{written}]"
    else:
        hint = error.hint
    is_list = isinstance(document.value["after"], list)
    return document.error(f"after: {error.message}", hint, at=("after", number) if is_list else ("after",))
