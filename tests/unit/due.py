"""Read the text of a schedule file, or the error in it."""

from datetime import UTC, datetime

import pytest

from aqueue.errors import FileError
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults
from aqueue.model.schedule import Schedule

DEFAULTS = Defaults(name="nightly", working_dir="/home/me", base="/srv/base", timezone="Europe/Berlin")
DAILY = 'schedule: "0 2 * * *"\n'

MACROS = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"
WANTED = {
    "schedule": 'an expression such as "0 2 * * *" or @daily, or a list of them',
    "at": "a time such as 2026-12-24T18:00:00+01:00",
    "timezone": "the name of a timezone, such as Europe/Berlin",
    "catchup_window": "a length of time such as 12h or 2d12h",
    "overlap": "all, skip or latest",
}


def read(text: str, defaults: Defaults = DEFAULTS) -> Schedule:
    content = parse(text, "nightly.yaml", defaults)
    (schedule,) = content.schedules
    assert (content.requests, content.tasks) == ([], [schedule.task])
    return schedule


def one(lines: str, defaults: Defaults = DEFAULTS) -> Schedule:
    return read(f"command: x\n{lines}\n", defaults)


def errors_in(text: str, defaults: Defaults = DEFAULTS) -> list[tuple[str, str]]:
    with pytest.raises(FileError) as caught:
        parse(text, "nightly.yaml", defaults)
    return [(message.removeprefix("nightly.yaml:"), hint) for message, hint in caught.value.problems()]


def error_in(text: str, defaults: Defaults = DEFAULTS) -> tuple[str, str]:
    return errors_in(text, defaults)[0]


def utc(written: str) -> float:
    return datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()
