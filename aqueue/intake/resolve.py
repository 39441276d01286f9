"""Resolving submissions: the runs that they come after, and snapshots of their code."""

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
"""Seconds within which the store is most likely told of a file that was read."""


class Resolver:
    """Makes what files ask for ready for the store.

    Args:
        read: asks the store.
        keeper: of code.
    """

    def __init__(self, read: Do, keeper: Pins) -> None:
        self._read = read
        self._keeper = keeper
        self._taken: Snapshots = {}

    def begin(self) -> None:
        """Files are looked at that are there already: their runs need the code as it is from now on."""
        self._taken = {}

    def prepare(self, content: Content) -> Sequence[Submission]:
        """Return the submissions of a file, ready for the store.

        Raises:
            FileError: a run that it comes after is not known, or its code cannot be kept.
            DiskFullError: there is no room to keep its code.
            BusyError: the store cannot be asked.
        """
        if any(request.after for request in content.requests):
            leave_event_loop()
            self._check_known(content)
        return self._with_code(content)

    def recover(self, content: Content, name: str) -> Sequence[Submission]:
        """Return the same for a file that has been found good before.

        Args:
            name: of the file in `incoming/`.

        Raises:
            FileError: its code cannot be kept any more.
            DiskFullError: there is no room to keep its code.
            BusyError: the store cannot be asked.
        """
        if self._read(lambda connection: bool(Store(connection).runs.of_file(name))):
            return content.requests
        return self._with_code(content)

    def due_code(self, names: Sequence[str]) -> Kept:
        """Return the code for what is due by now, by what schedule files of these names have said so far.

        What it says now takes the place of that in the transaction in which the runs are made.
        """
        now = time.time()
        try:
            tasks = (
                self._read(lambda connection: Store(connection).due_times.owed(names, now + _AHEAD))
                if names
                else ()
            )
            return {task.code: self._keeper.snapshot_for(task, now) for task in tasks if task.code is not None}
        except (DiskFullError, BusyError):
            # Their runs say that their code was not kept.
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
    """Return the entries that mean no known run: which submission, which entry, and what is wrong."""
    found: list[tuple[int, int, RunError]] = []
    for index, entries in enumerate(after):
        for number, written in enumerate(entries):
            try:
                store.dependencies.known(written)
            except RunError as error:
                found.append((index, number, error))
    return found


def _located(content: Content, index: int, number: int, error: RunError) -> FileError:
    document, written = content.documents[index], content.requests[index].after[number]
    if content.requests[index].task.name == written:
        hint = "a run cannot come after itself"
    elif any(written in request.names() for request in content.requests):
        hint = f"it is in this very file: write needs: [{written}]"
    else:
        hint = error.hint
    is_list = isinstance(document.value["after"], list)
    return document.error(f"after: {error.message}", hint, at=("after", number) if is_list else ("after",))
