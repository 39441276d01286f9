"""Preparing the submissions of files for the store."""

from collections.abc import Sequence
from typing import Protocol

from aqueue.formats.task_file import Content
from aqueue.model.schedule import Kept
from aqueue.model.submission import Submission


class Preparing(Protocol):
    """Prepares the submissions of files for the store.

    Its methods raise FileError for a file that cannot be accepted, DiskFullError if the disk is full and BusyError
    if the store is busy.
    """

    def begin(self) -> None:
        """Start a new batch: snapshots taken for earlier files are not reused."""

    def prepare(self, content: Content) -> Sequence[Submission]:
        """Return the submissions of a file."""

    def recover(self, content: Content, name: str) -> Sequence[Submission]:
        """Return the submissions of the file with this name in `incoming/`."""

    def due_code(self, names: Sequence[str]) -> Kept:
        """Return snapshots for runs that are due by now under the stored versions of these schedule files."""


class AsWritten:
    """Returns submissions as they are written in the file."""

    def begin(self) -> None:
        """Do nothing."""

    def prepare(self, content: Content) -> Sequence[Submission]:
        """Return the submissions of a file."""
        return content.requests

    def recover(self, content: Content, name: str) -> Sequence[Submission]:  # noqa: ARG002 - the protocol has it
        """Return the submissions of a file."""
        return content.requests

    def due_code(self, names: Sequence[str]) -> Kept:  # noqa: ARG002 - the protocol has it
        """Return no snapshots."""
        return {}
