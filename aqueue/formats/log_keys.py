"""The key `log`, which gives logs a limit in task files and in `aqueue.yaml`; `long_logs` keeps them to it."""

from typing import Annotated, Final

import msgspec

from aqueue.formats.written_types import Size
from aqueue.units import parse_size

LEAST: Final = 64 << 10
"""The lowest limit, in bytes."""

LOG: Final = "{limit: 1GiB}"
"""The value the key expects, in words."""

USE: Final = "How much output of an attempt to keep."
"""The purpose of the key."""


class WrittenLog(msgspec.Struct, forbid_unknown_fields=True):
    """The key as it is written."""

    limit: Annotated[
        Size, "a size from 64KiB upwards such as 1GiB, or 0 for no limit", "Keep the head and the tail of more."
    ]


def parse(written: WrittenLog) -> int | None:
    """Return the limit in bytes; None for no limit.

    Raises:
        ValueError: it is not a size, or too small for the head and tail of a log.
    """
    limit = parse_size(written.limit)
    if 0 < limit < LEAST:
        raise ValueError(written.limit)
    return limit or None
