"""The key `log`, which gives logs a limit in task files and in `aqueue.yaml`; `long_logs` keeps them to it."""

from typing import Annotated, Final

import msgspec

from aqueue.units import parse_size

LEAST: Final = 64 << 10
"""The lowest limit, in bytes."""

LOG: Final = "{limit: 1GiB}"
"""The value the key expects, in words."""


class WrittenLog(msgspec.Struct, forbid_unknown_fields=True):
    """The key as it is written."""

    limit: Annotated[int | str, "a size from 64KiB upwards such as 1GiB, or 0 for no limit"]


def parse(written: WrittenLog) -> int | None:
    """Return the limit in bytes; None for no limit.

    Raises:
        ValueError: it is not a size, or too small for the head and tail of a log.
    """
    limit = parse_size(written.limit)
    if 0 < limit < LEAST:
        raise ValueError(written.limit)
    return limit or None
