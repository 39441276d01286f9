"""A schedule to test with, and an oracle for it: a clock on the wall, minute by minute, and crontab(5)."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from tests.unit.records import a_task

MINUTE = timedelta(minutes=1)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def a_schedule(*expressions: str, **changes: Any) -> Schedule:
    """A schedule in UTC, with these changes."""
    return Schedule(
        submission=Submission(task=a_task()), **{"expressions": expressions, "timezone": "UTC"} | changes
    )


class Step(NamedTuple):
    """A minute, what a clock on the wall shows then, and what it has newly come to, or passed over."""

    moment: int
    wall: datetime
    passed: list[datetime]


def walk(zone: str, after: float, until: float) -> Iterator[Step]:
    """Every minute of UTC up to `until`, from before `after`, so that it is known what was shown before."""
    where = ZoneInfo(zone)
    begins = int((after - 3 * 3600) // 60) * 60
    newest = datetime.fromtimestamp(begins, where).replace(tzinfo=None)
    for moment in range(begins + 60, math.floor(until) + 1, 60):
        wall = datetime.fromtimestamp(moment, where).replace(tzinfo=None)
        passed = (wall - newest) // MINUTE
        yield Step(moment, wall, [wall] if passed == 1 else [newest + MINUTE * (n + 1) for n in range(passed)])
        newest = max(newest, wall)


def numbers(field: str, lowest: int, highest: int, names: list[str]) -> set[int]:
    def number(word: str) -> int:
        return names.index(word) + lowest if word in names else int(word)

    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        low = lowest if first == "*" else number(first)
        high = number(last) if last else highest if first == "*" or step else low
        found.update(range(low, high + 1, int(step or 1)))
    return found


class Cron:
    """An expression, as crontab(5) explains it."""

    def __init__(self, expression: str) -> None:
        minute, hour, day, month, weekday = expression.lower().split()
        self.minutes = numbers(minute, 0, 59, [])
        self.hours = numbers(hour, 0, 23, [])
        self.days = numbers(day, 1, 31, [])
        self.months = numbers(month, 1, 12, MONTHS)
        self.weekdays = {number % 7 for number in numbers(weekday, 0, 7, WEEKDAYS)}
        self.needs_both = day[0] == "*" or weekday[0] == "*"
        self.keeps_rhythm = minute[0] == "*" or hour[0] == "*"

    def says(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        days = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return all(days) if self.needs_both else any(days)

    def is_due(self, step: Step) -> bool:
        return self.says(step.wall) if self.keeps_rhythm else any(map(self.says, step.passed))
