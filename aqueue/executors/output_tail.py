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
        text: its last bytes as text; empty if there is no output.
        written_at: when it was last written to; None if there is no output.
    """

    text: str
    written_at: float | None


def read_tail(log: Path, count: int = ERRORS) -> OutputTail:
    """Return the last `count` bytes of an output."""
    try:
        with open(log, "rb", opener=no_links.opener) as file:
            status = os.fstat(file.fileno())
            file.seek(max(0, status.st_size - count))
            return OutputTail(file.read(count).decode(errors="replace"), status.st_mtime)
    except OSError:
        return OutputTail("", None)
