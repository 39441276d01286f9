"""The end of an output, which may be of any size."""

import os
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.folder import no_links

ERRORS: Final = 1 << 13
"""The number of bytes at the end among which error messages are expected."""


class OutputTail(NamedTuple):
    """The end of an output.

    Attributes:
        content: its last bytes; empty if there is no output.
        is_whole: whether they are all of it.
        written_at: when it was last written to; None if there is no output.
    """

    content: bytes
    is_whole: bool
    written_at: float | None

    @property
    def text(self) -> str:
        """Return the last bytes as text."""
        return self.content.decode(errors="replace")


def read_tail(log: Path, count: int = ERRORS) -> OutputTail:
    """Return the last `count` bytes of an output."""
    try:
        with open(log, "rb", buffering=0, opener=no_links.opener) as file:
            status = os.fstat(file.fileno())
            file.seek(max(0, status.st_size - count))
            return OutputTail(file.read(count), status.st_size <= count, status.st_mtime)
    except OSError:
        return OutputTail(b"", True, None)
