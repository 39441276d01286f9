"""Making what files ask for ready for the store."""

from collections.abc import Sequence
from typing import Protocol

from aqueue.formats.task_file import Content
from aqueue.model.schedule import Kept
from aqueue.model.submission import Submission


class Preparing(Protocol):
    """Makes what files ask for ready for the store.

    Its methods raise FileError for what cannot be accepted; DiskFullError if there is no room for it now, and
    BusyError if the store cannot be asked.
    """

    def begin(self) -> None:
        """Files are looked at that are there already."""

    def prepare(self, content: Content) -> Sequence[Submission]:
        """Return the submissions of a file."""

    def recover(self, content: Content, name: str) -> Sequence[Submission]:
        """Return the submissions of a file that is in `incoming/` under this name."""

    def due_code(self, names: Sequence[str]) -> Kept:
        """Return the code for what is due by now, by what schedule files of these names have said so far."""


class AsWritten:
    """A resolver that adds nothing to what files say."""

    def begin(self) -> None:
        """There is nothing to begin with."""

    def prepare(self, content: Content) -> Sequence[Submission]:
        """Return the submissions of a file."""
        return content.requests

    def recover(self, content: Content, name: str) -> Sequence[Submission]:  # noqa: ARG002 - the protocol has it
        """Return the submissions of a file."""
        return content.requests

    def due_code(self, names: Sequence[str]) -> Kept:  # noqa: ARG002 - the protocol has it
        """There is none."""
        return {}
