"""Cron expressions: checks, and conversion to the form that cronsim reads. Pure.

The dialect is that of Debian's crontab(5), with cronsim's `L`, `W` and `#`. Two forms of other dialects are also
accepted: `?` for `*` (Quartz), and ranges of weekdays across Sunday, such as `FRI-MON`.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

from aqueue.units import counted

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Names of common expressions, as in crontab(5)."""


class _Field(NamedTuple):
    name: str
    plural: str
    first: int
    size: int
    """The number of values; with a step this large or larger, only the first value remains."""


_FIELDS: Final = (
    _Field("minute", "minutes", 0, 60),
    _Field("hour", "hours", 0, 24),
    _Field("day of month", "days of month", 1, 31),
    _Field("month", "months", 1, 12),
    _Field("day of week", "days of week", 0, 7),
)
_DAY_OF_MONTH, _DAY_OF_WEEK = 2, 4
_PROBLEMS: Final = {
    "Bad minute": "the minute must be 0 to 59",
    "Bad hour": "the hour must be 0 to 23",
    "Bad day-of-month": "the day of month must be 1 to 31, or L for the last, and in one of the months",
    "Bad month": "the month must be 1 to 12, or JAN to DEC",
    "Bad day-of-week": "the day of week must be 0 to 7, or SUN to SAT",
}
_DAY_NAMES: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MAX_LENGTH = 500
_ASSIGNMENT = re.compile(r"(?:CRON_)?TZ\s*=\s*(\S+)\s*(.*)", re.DOTALL)
_YEARS = re.compile(r"(?:19|20)\d\d(?:[-,/].*)?", re.ASCII)
_RANGE = re.compile(r"(\w+)-(\w+)")
_ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def plain(expression: str) -> str:
    """Return a checked expression as five fields that cronsim reads."""
    written = " ".join(expression.split())
    fields = MACROS.get(written.lower(), written).split()
    if len(fields) != len(_FIELDS):
        return written
    for index in (_DAY_OF_MONTH, _DAY_OF_WEEK):
        if fields[index] == "?":
            fields[index] = "*"
    fields[_DAY_OF_WEEK] = ",".join(map(_across_sunday, fields[_DAY_OF_WEEK].split(",")))
    return " ".join(fields)


@lru_cache
def check(expression: str) -> None:
    """Refuse an expression that does not have five fields, is never due, or is due less often than it seems.

    Raises:
        ValueError: says what is wrong and, if known, what to write instead.
    """
    if found := _ASSIGNMENT.fullmatch(expression.strip()):
        raise ValueError(
            f"the timezone has a key of its own: timezone: {found[1]}, and schedule: {found[2].strip() or '…'}"
        )
    fields = plain(expression).split()
    if fields and fields[0].startswith("@"):
        raise ValueError(f"there is no such name, only {', '.join(MACROS)}")
    if len(fields) != len(_FIELDS):
        raise ValueError(_wrong_count(fields))
    if len(expression) > _MAX_LENGTH:
        raise ValueError(f"it is longer than {_MAX_LENGTH} characters")
    for index, text in enumerate(fields):
        for part in text.split(","):
            _check_part(index, part)
    try:
        next(CronSim(" ".join(fields), _ANY_DAY))
    except StopIteration:
        raise ValueError("there is no such day") from None
    except CronSimError as error:
        day, month = fields[_DAY_OF_MONTH], fields[_DAY_OF_MONTH + 1]
        if str(error) == "Bad day-of-month" and day in ("30", "31"):
            name = "February" if month.upper() in ("2", "FEB") else f"a month of {month}"
            raise ValueError(f"{name} has no day {day}; write L for its last") from None
        raise ValueError(_PROBLEMS.get(str(error), str(error))) from None


def in_words(expression: str) -> str:
    """Return an expression in words, such as `At 02:00 every day`."""
    fields = plain(expression).split()
    cron = CronSim(" ".join(fields), _ANY_DAY)
    # If either day field covers all days, the expression is due every day; cronsim's words would mention only
    # the other field.
    if not cron.day_and and (len(cron.days) == 31 or len(cron.weekdays) >= 7):
        fields[_DAY_OF_MONTH] = fields[_DAY_OF_WEEK] = "*"
        cron = CronSim(" ".join(fields), _ANY_DAY)
    return cron.explain()


def _wrong_count(fields: list[str]) -> str:
    count = len(fields)
    message = f"it has {counted(count, 'field')}, not 5"
    if count in (6, 7):
        if count == len(_FIELDS) + 1 and _YEARS.fullmatch(fields[-1]):
            return f"{message}: there are no years; write {' '.join(fields[:-1])}"
        hint = " ".join(fields[1:6])
        return f"{message}: there are neither seconds nor years; if the first is for seconds, write {hint}"
    return message


def _check_part(index: int, part: str) -> None:
    """Check one comma-separated part of a field for errors that cronsim accepts or reports unclearly."""
    field = _FIELDS[index]
    if "~" in part:
        raise ValueError(f"random times (~) are not supported; write the {field.name}")
    if part == "?" and index not in (_DAY_OF_MONTH, _DAY_OF_WEEK):
        raise ValueError(f"? is only for the two day fields; write * for any {field.name}")
    span, slash, step = part.partition("/")
    ends = _RANGE.fullmatch(span)
    first, last = (int(ends[1]), int(ends[2])) if ends and ends[1].isdigit() and ends[2].isdigit() else (0, None)
    if slash and ends and ends[1] == ends[2]:
        # cronsim would read 5-5/2 as 5/2.
        raise ValueError("a range of one number has no steps")
    if last is not None and first > last:
        end = field.first + field.size - 1
        raise ValueError(f"the {field.plural} go backwards in {span}; write {first}-{end},{field.first}-{last}")
    if slash and step.isdigit():
        count = field.size if last is None else last - first + 1
        if int(step) >= count:
            which = f"of {count} {field.plural}" if last is None else f"of the {count} {field.plural} in {span}"
            raise ValueError(f"the step {step} reaches only the first {which}; name the {field.plural} instead")


def _across_sunday(part: str) -> str:
    """Return a range of weekdays that passes Saturday as a list of day numbers."""
    found = _RANGE.fullmatch(part)
    if not found:
        return part
    first, last = (_day_number(name) for name in found.groups())
    if first is None or last is None or not last < first <= 7:
        return part
    if last == 0 and first < 7:
        return f"{first}-7"
    return ",".join([*map(str, range(first, 7)), *map(str, range(last + 1))])


def _day_number(name: str) -> int | None:
    if name.isdigit():
        return int(name)
    return _DAY_NAMES.index(name.upper()) if name.upper() in _DAY_NAMES else None
