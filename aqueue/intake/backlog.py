"""The task files that wait to be examined. However many are dropped at once, few of them are kept in memory."""

from collections.abc import Collection
from functools import partial
from typing import Final

from aqueue.intake.inbox import MAX_FILES, Inbox
from aqueue.threads import without_waiting

_ROUND: Final = 256
"""The most files to examine before changes are collected again."""


class Backlog:
    """The files to examine next, in order of arrival.

    If there are too many hints, they are dropped: a scan of the folder finds the same files, oldest first.

    Args:
        whole: the hint that stands for all files of the folder.
    """

    def __init__(self, inbox: Inbox, whole: str) -> None:
        self._inbox = inbox
        self._whole = whole
        self._paths: list[str] = []
        self._scan_is_due = False

    def __bool__(self) -> bool:
        """Return True if a file may be left to examine."""
        return bool(self._paths) or self._inbox.has_more_to_examine or self._scan_is_due

    async def add(self, hints: Collection[str]) -> None:
        """Add the files that these hints stand for."""
        if not hints:
            return
        # A scan under way may have passed these files already. So another one follows.
        is_scanning = self._inbox.has_more_to_examine or self._scan_is_due
        if is_scanning or len(self._paths) + len(hints) > MAX_FILES or (self._paths and self._whole in hints):
            self._scan_is_due = True
        else:
            self._paths += await without_waiting(partial(self._inbox.files_to_examine, hints))

    async def take(self) -> list[str]:
        """Return the next files, and remove them from the backlog."""
        if not self._paths and self._inbox.has_more_to_examine:
            self._paths = await without_waiting(self._inbox.more_to_examine)
        elif not self._paths and self._scan_is_due:
            self._scan_is_due = False
            self._paths = await without_waiting(partial(self._inbox.files_to_examine, [self._whole]))
        taken, self._paths = self._paths[:_ROUND], self._paths[_ROUND:]
        return taken
