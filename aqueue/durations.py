"""Lengths of time as people write them: `90`, `"90s"`, `"1h30m"`, `"2d12h"`."""

import re

_WRITTEN = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse(written: str | float) -> float:
    """Return the length in seconds.

    Args:
        written: a number of seconds, or days, hours, minutes and seconds in that order.

    Raises:
        ValueError: it is neither, or it is negative or infinite.

    >>> parse("1h30m")
    5400.0
    """
    if isinstance(written, str) and not re.fullmatch(r"\d+(\.\d+)?", written, re.ASCII):
        match = _WRITTEN.fullmatch(written)
        if not written or match is None:
            raise ValueError(written)
        seconds = sum(float(value) * _SECONDS[unit] for unit, value in match.groupdict("0").items())
    else:
        seconds = float(written)
    if isinstance(written, bool) or not 0 <= seconds < float("inf"):
        raise ValueError(written)
    return seconds


def spell(seconds: float) -> str:
    """Return the length as a person would say it, with two units at most.

    >>> spell(5400), spell(0.0314), spell(7.25)
    ('1h30m', '31ms', '7.2s')
    """
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    parts = []
    for unit, size in _SECONDS.items():
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return "".join(parts[:2])
