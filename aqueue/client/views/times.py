"""Times as JSON."""

from datetime import UTC, datetime


def iso(moment: float | None) -> str | None:
    """Return a time in ISO 8601, in UTC with milliseconds.

    >>> iso(0.5), iso(None)
    ('1970-01-01T00:00:00.500Z', None)
    """
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
