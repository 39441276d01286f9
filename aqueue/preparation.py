"""What a task file needs besides its text before it is accepted: the runs it comes after, and its code."""

from collections.abc import Sequence

from aqueue.errors import FileError, RunError, SnapshotError
from aqueue.keeper import Keeper, Write
from aqueue.requests import Request
from aqueue.store import Store
from aqueue.taskfile import Content


class Preparation:
    """Makes what files ask for ready for the store.

    Args:
        write: to the store.
        keeper: of code.
    """

    def __init__(self, write: Write, keeper: Keeper) -> None:
        self._write = write
        self._keeper = keeper

    def prepare(self, content: Content, claimed_as: str | None) -> Sequence[Request]:
        """What a file asks for, ready for the store.

        Args:
            claimed_as: its name in `incoming/`, if it is there already: then it has been found good before.

        Raises:
            FileError: a run that it comes after is not known, or its code cannot be kept.
            DiskFullError: there is no room to keep its code.
        """
        if claimed_as is None:
            self._check_known(content)
        elif any(request.task.isolate for request in content.requests) and self._is_accepted(claimed_as):
            return content.requests
        requests: list[Request] = []
        for index, request in enumerate(content.requests):
            try:
                requests += self._keeper.keep([request])
            except SnapshotError as error:
                at = ("isolate",)
                raise content.documents[index].error(
                    f"isolate: {error.message}", error.hint, at=at, key=True
                ) from None
        return requests

    def _check_known(self, content: Content) -> None:
        after = [request.after for request in content.requests]
        if not any(after):
            return
        for index, number, error in self._write(lambda connection: _unknown(Store(connection), after)):
            raise _located(content, index, number, error)

    def _is_accepted(self, name: str) -> bool:
        return self._write(lambda connection: bool(Store(connection).runs_of(name)))


def _unknown(store: Store, after: Sequence[Sequence[str]]) -> list[tuple[int, int, RunError]]:
    """The entries that mean no run that is known: which request, which of its entries, and what is wrong."""
    found: list[tuple[int, int, RunError]] = []
    for index, entries in enumerate(after):
        for number, written in enumerate(entries):
            try:
                store.known(written)
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
