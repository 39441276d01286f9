"""The keys that say when a task is due: what arrives of what is written."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from itertools import islice
from operator import mul

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults
from aqueue.model.schedule import Overlap, Schedule
from aqueue.model.submission import Submission
from aqueue.policy import cron
from tests.unit.due import DAILY, DEFAULTS, MACROS, WANTED, one, read, utc


def test_a_task_with_a_schedule_is_a_schedule_and_its_task_is_read_as_any_other() -> None:
    schedule = one("name: backup\nqueue: disk\npriority: high\n" + DAILY)
    task = parse("command: x\nname: backup\nqueue: disk\npriority: high", "f", DEFAULTS).tasks[0]
    assert schedule == Schedule(
        submission=Submission(task=task),
        timezone="Europe/Berlin",
        expressions=("0 2 * * *",),
        catchup_window=0.0,
        overlap=Overlap.ALL,
    )
    assert schedule.name == "backup"


def test_every_key_arrives() -> None:
    schedule = one(
        'schedule: ["0 2 * * *", "@weekly"]\ntimezone: Australia/Lord_Howe\ncatchup_window: 2d12h\noverlap: latest'
    )
    assert (schedule.expressions, schedule.timezone) == (("0 2 * * *", "@weekly"), "Australia/Lord_Howe")
    assert (schedule.catchup_window, schedule.overlap) == (216000.0, Overlap.LATEST)


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *", "*/5 0-6,22,23 * * *", "0 2 * JAN,feb mon-FRI", "0 2 29 2 *", "0 2 L * *", "0 2 * * 7",
        "0 2 * * 5#3", *MACROS.split(", "), "@DAILY",
    ],
)  # fmt: skip
def test_an_expression_arrives_as_it_is_written(expression: str) -> None:
    assert one(f'schedule: "{expression}"').expressions == (expression,)
    assert one(f'schedule:\n  - "{expression}"').expressions == (expression,)


def test_an_expression_arrives_once_whatever_its_blanks() -> None:
    schedule = one("schedule: ['0  2 * *  *', ' 0 2 * * * ', '@daily', '0 2 * * *', \"0 2 *\\t* *\"]")
    assert schedule.expressions == ("0 2 * * *", "@daily")


def test_a_hundred_expressions_arrive() -> None:
    expressions = [f"{number % 60} {number // 60} * * *" for number in range(100)]
    assert one(f"schedule: {json.dumps(expressions)}").expressions == tuple(expressions)


def test_an_expression_that_begins_with_a_digit_needs_no_quotes() -> None:
    assert one("schedule: 0 2 * * *").expressions == ("0 2 * * *",)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-12-24T18:00:00+01:00", "2026-12-24 17:00"),
        ("2026-12-24 18:00:00-05:00", "2026-12-24 23:00"),
        ("2026-12-24T18:00:00Z", "2026-12-24 18:00"),
        ("2026-12-24T18:00:00", "2026-12-24 17:00"),
        ("2026-07-24 18:00", "2026-07-24 16:00"),
        ('"2026-12-24T18:00"', "2026-12-24 17:00"),
        ("2026-12-24", "2026-12-23 23:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01 00:00"),
        ("9892-01-01T00:00:00Z", "9892-01-01 00:00"),
        # The clock goes from 2:00 to 3:00.
        ("2027-03-28T01:59:59", "2027-03-28 00:59:59"),
        ("2027-03-28T02:30:00", "2027-03-28 01:00"),
        ("2027-03-28T03:00:00", "2027-03-28 01:00"),
        ("2027-03-28T02:30:00+01:00", "2027-03-28 01:30"),
        # It goes from 3:00 back to 2:00.
        ("2027-10-31T02:30:00", "2027-10-31 00:30"),
        ("2027-10-31T02:30:00+01:00", "2027-10-31 01:30"),
        ("2027-10-31T03:00:00", "2027-10-31 02:00"),
    ],
)
def test_a_single_time_is_a_moment(written: str, moment: str) -> None:
    schedule = one(f"at: {written}")
    assert (schedule.at, schedule.expressions) == (utc(moment), ())


def test_a_single_time_without_an_offset_is_in_the_timezone_of_its_document() -> None:
    assert one("at: 2026-12-24T18:00:00\ntimezone: Asia/Tokyo").at == utc("2026-12-24 09:00")
    assert one("at: 2026-12-24T18:00:00+01:00\ntimezone: Asia/Tokyo").at == utc("2026-12-24 17:00")


def test_the_timezone_is_the_default_one_if_the_document_names_none() -> None:
    defaults = Defaults(name="n", working_dir="/", base="/", timezone="Asia/Tokyo")
    assert one(DAILY, defaults).timezone == "Asia/Tokyo"
    assert one("at: 2026-12-24T18:00:00", defaults).at == utc("2026-12-24 09:00")
    assert one(DAILY + "timezone: UTC", defaults).timezone == "UTC"


@pytest.mark.parametrize(
    ("zone", "name"), [("Asia/Tokyo", "Asia/Tokyo"), (":Asia/Tokyo", "Asia/Tokyo"), ("", None), ("nonsense", None)]
)
def test_local_is_the_timezone_of_the_machine_by_its_name(zone: str, name: str | None) -> None:
    script = f"""\
from aqueue.model.config import Defaults
from aqueue.formats.task_file import parse
for timezone, line in (("UTC", "timezone: local"), ("local", "")):
    defaults = Defaults(name="n", working_dir="/", base="/", timezone=timezone)
    print(parse({f"command: x{chr(10)}{DAILY}"!r} + line, "f", defaults).schedules[0].timezone)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=True
    )
    first, second = done.stdout.split()
    assert cron.zone(first).key == second == (name or second)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("12h", 43200), ("2d12h", 216000), ("1d2h3m4.5s", 93784.5), ("90s", 90), ("90", 90), ('"90"', 90),
        ("1.5", 1.5), ("1e3", 1000), ("0", 0), ("0s", 0),
    ],
)  # fmt: skip
def test_a_catchup_window_may_be_written_in_several_ways(written: str, seconds: float) -> None:
    assert one(f"{DAILY}catchup_window: {written}").catchup_window == seconds
    assert one(f"at: 2026-12-24\ncatchup_window: {written}").catchup_window == seconds


@pytest.mark.parametrize("written", [*Overlap, '"skip"'])
def test_an_overlap_is_one_of_three_words(written: str) -> None:
    assert one(f"{DAILY}overlap: {written}").overlap == written.strip('"')


def test_a_file_may_have_several_schedules() -> None:
    text = f"command: a\n{DAILY}---\ncommand: b\nname: second\nat: 2026-12-24T18:00:00Z\n---\n"
    content = parse(text, "nightly.yaml", DEFAULTS)
    assert [schedule.name for schedule in content.schedules] == ["nightly", "second"]
    assert [task.command for task in content.tasks] == ["a", "b"]
    assert content.requests == []


minutes = st.sampled_from(["*", "*/5", "0", "7,30-40/2", "59"])
hours = st.sampled_from(["*", "*/3", "2", "0-6,22"])
days = st.sampled_from(["*", "1", "28", "L", "1-15"])
months = st.sampled_from(["*", "1", "jan,JUL", "*/2"])
weekdays = st.sampled_from(["*", "0", "mon-fri", "7", "5#2"])
expressions = st.tuples(minutes, hours, days, months, weekdays).map(" ".join) | st.sampled_from(MACROS.split(", "))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda offset: timezone(timedelta(minutes=offset)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=offsets)


@given(
    st.lists(expressions, min_size=1, max_size=4) | expressions | moments,
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"]),
    st.tuples(*[st.integers(0, 99)] * 4),
    st.sampled_from(Overlap),
)
def test_what_is_written_is_what_arrives(
    when: list[str] | str | datetime, zone: str, length: tuple[int, int, int, int], overlap: Overlap
) -> None:
    written = {"timezone": zone, "catchup_window": "{}d{}h{}m{}s".format(*length), "overlap": overlap}
    due = {"at": when.isoformat()} if isinstance(when, datetime) else {"schedule": when}
    schedule = read(json.dumps({"command": "x", **written, **due}))
    assert schedule == Schedule(
        submission=Submission(task=schedule.task),
        timezone=zone,
        expressions=()
        if isinstance(when, datetime)
        else tuple(dict.fromkeys([when] if isinstance(when, str) else when)),
        at=when.timestamp() if isinstance(when, datetime) else None,
        catchup_window=float(sum(map(mul, length, (86400, 3600, 60, 1)))),
        overlap=overlap,
    )


@given(
    st.sampled_from(list(WANTED)), st.text(max_size=40) | st.text("@*/,-# 0123456789:TZ+.\n\x1bLWdh", max_size=30)
)
@example("schedule", "@a\nb")
def test_any_text_is_understood_or_refused_in_one_line(key: str, value: str) -> None:
    due = {"at": "2026-12-24"} if key == "at" else {"schedule": "0 2 * * *"}
    try:
        schedule = read(json.dumps({"command": "x", **due, key: value}))
        list(islice(cron.due_times(schedule, 0.0), 2))
    except FileError as error:
        assert (error.message + error.hint).isprintable()
