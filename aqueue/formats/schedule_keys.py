"""The keys of a task file for due times → a schedule."""

import difflib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from aqueue.formats.task_keys import GOES_WITH, Keys, seconds, wrong
from aqueue.formats.yaml_document import Document, Path
from aqueue.formats.yaml_records import words_of
from aqueue.formats.yaml_values import describe
from aqueue.model.schedule import Overlap, Schedule
from aqueue.model.submission import Submission

MAX_EXPRESSIONS: Final = 100
"""The most expressions of a schedule."""

_FIELDS = 'write it as "0 2 * * *": minute, hour, day of month, month, day of week; or as @daily and the like'
# From 1970 to about the year 9890: the range that all calendars used here can handle.
_MOMENTS = (0.0, 250e9)


def read(document: Document, written: Keys, submission: Submission, timezone: str) -> Schedule | None:
    """Return when a submission is due.

    Args:
        document: the document of the keys.
        timezone: the default timezone, or `local`.

    Returns:
        None if the task has no schedule.

    Raises:
        FileError: at the first error.
    """
    if written.schedule is None and written.at is None:
        for key, others in GOES_WITH.items():
            if "schedule" in others and getattr(written, key) is not None:
                hint = "add 'schedule' or 'at', or leave it out"
                raise document.error(f"'{key}' is for a task with a schedule", hint, at=(key,), key=True)
        return None
    if written.schedule is not None and written.at is not None:
        raise document.error("'at' and 'schedule' exclude each other", "keep one of them", at=("at",), key=True)
    timezone = _timezone(document, timezone if written.timezone is None else written.timezone)
    return Schedule(
        submission=submission,
        timezone=timezone,
        expressions=_expressions(document, written.schedule),
        at=None if written.at is None else _moment(document, written.at, timezone),
        catchup_window=seconds(document, ("catchup_window",), written.catchup_window) or 0.0,
        overlap=Overlap(written.overlap or "all"),
    )


def is_timezone(name: str) -> bool:
    """Return True if there is a timezone of this name."""
    from aqueue.policy import cron

    try:
        cron.zone(name)
    except ValueError:
        return False
    return True


def _expressions(document: Document, written: str | list[str] | None) -> tuple[str, ...]:
    # Imported here and below because most task files have no schedule.
    from aqueue.policy import cron_syntax

    if written == []:
        raise document.error("schedule: the list is empty", "add an expression such as @daily", at=("schedule",))
    expressions = written if isinstance(written, list) else [] if written is None else [written]
    if len(expressions) > MAX_EXPRESSIONS:
        at: Path = ("schedule", MAX_EXPRESSIONS)
        raise document.error(f"schedule: there are more than {MAX_EXPRESSIONS} expressions", "merge some", at=at)
    for index, expression in enumerate(expressions):
        try:
            cron_syntax.check(expression)
        except ValueError as error:
            at = ("schedule", index) if isinstance(written, list) else ("schedule",)
            what = describe(expression)
            raise document.error(f"schedule: {what}: {error}", _FIELDS, at=at) from None
    return tuple(dict.fromkeys(" ".join(expression.split()) for expression in expressions))


def _timezone(document: Document, written: str) -> str:
    name = _local_timezone() if written == "local" else written
    if name is None:
        hint = "say which it is, here or in aqueue.yaml: timezone: Europe/Berlin"
        raise document.error("cannot determine the name of this machine's timezone", hint)
    if is_timezone(name):
        return name
    import zoneinfo

    spellings = {known.lower(): known for known in (*zoneinfo.available_timezones(), "local")}
    near = difflib.get_close_matches(written.lower(), spellings, 1)
    hint = f"did you mean {spellings[near[0]]}?" if near else ""
    what = describe(written)
    raise document.error(f"timezone: expected {words_of(Keys)['timezone']}, got {what}", hint, at=("timezone",))


@cache
def _local_timezone() -> str | None:
    """Return the name of this machine's timezone; None if it does not match the clock."""
    from tzlocal import get_localzone_name

    from aqueue.policy import cron

    try:
        name = get_localzone_name() or "UTC"
        zone = cron.zone(name)
    except (ValueError, LookupError):
        return None
    now = datetime.now(UTC)
    agrees = all(
        moment.astimezone().utcoffset() == moment.astimezone(zone).utcoffset()
        for moment in (now, now + timedelta(days=182))
    )
    return name if agrees else None


def _moment(document: Document, written: str, timezone: str) -> float:
    from aqueue.policy import cron

    try:
        # Python accepts any separator, and would read part of an offset as a time.
        if written[10:11] not in ("", "T", " "):
            raise ValueError(written)
        moment = cron.instant(datetime.fromisoformat(written), timezone)
        if not _MOMENTS[0] <= moment < _MOMENTS[1]:
            raise ValueError(written)
    except (ValueError, OverflowError):
        raise wrong(document, ("at",), written) from None
    return moment
