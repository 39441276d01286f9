"""Points in time as people write them, to look back to."""

import re
from datetime import datetime, time, timedelta
from typing import Final

from aqueue import units

EXPECTED: Final = "a time such as 2d, 14:30, today, yesterday or 2026-11-28"
"""The expected form, for messages."""

_CLOCK: Final = re.compile(r"\d{1,2}:\d\d(:\d\d)?", re.ASCII)


def moment_of(written: str | datetime, now: datetime) -> float:
    """Return a point in time in seconds since the epoch.

    Args:
        written: a duration before now, a time of today, `today`, `yesterday`, or a date, perhaps with a time.
            Times without an offset are in the timezone of `now`.

    Raises:
        ValueError: it is none of them.

    >>> now = datetime.fromisoformat("2026-11-30T09:00:00+00:00")
    >>> [str(datetime.fromtimestamp(moment_of(text, now), now.tzinfo)) for text in ("2d", "2026-11-28T01:00Z")]
    ['2026-11-28 09:00:00+00:00', '2026-11-28 01:00:00+00:00']
    """
    if isinstance(written, datetime):
        return written.timestamp()
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    if written in ("today", "midnight"):
        return midnight.timestamp()
    if written == "yesterday":
        return (midnight - timedelta(days=1)).timestamp()
    if _CLOCK.fullmatch(written):
        return datetime.combine(now.date(), time.fromisoformat(written.zfill(5)), now.tzinfo).timestamp()
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return now.timestamp() - units.parse(written)
    return (found if found.tzinfo else found.replace(tzinfo=now.tzinfo)).timestamp()


def midnight(now: datetime) -> float:
    """Return the last midnight in seconds since the epoch."""
    return moment_of("today", now)
