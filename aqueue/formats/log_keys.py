"""The key `log`, which gives logs a limit in task files and in `aqueue.yaml`; `long_logs` keeps them to it."""

from typing import Annotated, Final

import msgspec

from aqueue.units import parse_size

LEAST: Final = 64 << 10
"""The lowest limit, in bytes."""

LOG: Final = "{limit: 1GiB}"
"""The words for what the key expects."""


class WrittenLog(msgspec.Struct, forbid_unknown_fields=True):
    """The key as it is written."""

    limit: Annotated[int | str, "a size from 64KiB upwards such as 1GiB, or 0 for no limit"]


def parse(written: WrittenLog) -> int | None:
    """Return the limit in bytes; None if there is to be none.

    Raises:
        ValueError: it is no size, or a log could not keep a head and a tail within it.
    """
    limit = parse_size(written.limit)
    if 0 < limit < LEAST:
        raise ValueError(written.limit)
    return limit or None
