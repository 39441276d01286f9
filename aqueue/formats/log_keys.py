"""The key `log`, which gives logs a limit in task files and in `aqueue.yaml`; `long_logs` keeps them to it."""

from typing import Final

import msgspec

from aqueue.units import parse_size

LEAST: Final = 64 << 10
"""The lowest limit, in bytes."""

EXPECTED: Final = {
    "log.limit": "a size from 64KiB upwards such as 1GiB, or 0 for no limit",
    "log": "{limit: 1GiB}",
}
"""Its values, in words."""


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """The key, as far as its types go."""

    limit: int | str


def parse(written: Written) -> int | None:
    """Return the limit in bytes; None if there is to be none.

    Raises:
        ValueError: it is no size, or a log could not keep a head and a tail within it.
    """
    limit = parse_size(written.limit)
    if 0 < limit < LEAST:
        raise ValueError(written.limit)
    return limit or None
