"""The keys that say when a task is due: each way in which they can be wrong, and what the error says."""

import re

import pytest

from tests.unit.due import DAILY, MACROS, WANTED, error_in, errors_in

FIELDS = 'write it as "0 2 * * *": minute, hour, day of month, month, day of week; or as @daily and the like'
ALONE = "add 'schedule' or 'at', or leave it out"
DAY_OF_MONTH = "the day of month must be 1 to 31, or L for the last, and in one of the months"
DAY_OF_WEEK = "the day of week must be 0 to 7, or SUN to SAT"


# What is written for each key, and what its error calls that.
WRONG = {
    "schedule": {
        "": "nothing", " ~": "nothing", " 5": "5", " 5.5": "5.5", " true": "true", " {}": "keys and values",
    },
    "at": {
        "": "nothing", " ~": "nothing", " ''": "''", " 5": "5", " true": "true", " 20261224": "20261224",
        " [2026-12-24]": "a list", " {day: 24}": "keys and values", " tomorrow": "'tomorrow'", " 18:00": "'18:00'",
        " 24.12.2026": "'24.12.2026'", " 2026-02-30": "'2026-02-30'", " 2026-12-24T25:00": "'2026-12-24T25:00'",
        " 2026-12-24 18:00 CET": "'2026-12-24 18:00 CET'", " 2026-12-24T18:00+25:00": "'2026-12-24T18:00+25:00'",
        " 2026-12-24+01:00": "'2026-12-24+01:00'", " 2026-12-24-05:00": "'2026-12-24-05:00'",
        " 2026-12-24_18:00": "'2026-12-24_18:00'", " 2026-12-24t18:00": "'2026-12-24t18:00'",
    },
    "timezone": {
        " ''": "''", ' ""': "''", " ' '": "' '", " Europe": "'Europe'", " Europe/Munich": "'Europe/Munich'",
        " 1": "1", " ../etc/passwd": "'../etc/passwd'", " /etc/passwd": "'/etc/passwd'", " Local": "'Local'",
        " [UTC]": "a list", " +01:00": "'+01:00'", ' "UTC\\0"': "'UTC\\x00'", " true": "true",
    },
    "catchup_window": {
        " 1w": "'1w'", " 12 h": "'12 h'", " h": "'h'", " 12:00": "'12:00'", " ''": "''", " -1": "-1",
        " -1h": "'-1h'", " .inf": "'.inf'", " always": "'always'", " true": "true", " [12h]": "a list",
    },
    "overlap": {
        " Skip": "'Skip'", " ''": "''", " forbid": "'forbid'", " 1": "1", " true": "true", " [all]": "a list",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "written", "got"), [(key, *case) for key, cases in WRONG.items() for case in cases.items()]
)
def test_a_value_that_is_not_what_the_key_is_for_is_refused(key: str, written: str, got: str) -> None:
    before = "command: x\n" if key in ("schedule", "at") else f"command: x\n{DAILY}"
    place = f"{before.count(chr(10)) + 1}:{len(key) + 2 + written.startswith(' ')}"
    message, _ = error_in(f"{before}{key}:{written}\n")
    assert message == f"{place}: {key}: expected {WANTED[key]}, got {got}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berlim", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("utc", "UTC"),
    ],
)
def test_a_timezone_that_is_nearly_right_is_told_as_it_should_be(written: str, meant: str) -> None:
    assert error_in(f"command: x\n{DAILY}timezone: {written}")[1] == f"did you mean {meant}?"


@pytest.mark.parametrize("written", ["Mars", "+01:00", "1", "''", "[UTC]"])
def test_nothing_is_guessed_about_what_is_like_no_timezone(written: str) -> None:
    assert error_in(f"command: x\n{DAILY}timezone: {written}")[1] == ""


@pytest.mark.parametrize("written", ["Local", "LOCAL"])
def test_local_is_a_word_in_small_letters(written: str) -> None:
    assert error_in(f"command: x\n{DAILY}timezone: {written}")[1] == "did you mean local?"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "it has 0 fields, not 5"),
        ("daily", "it has 1 field, not 5"),
        ("0 2 * *", "it has 4 fields, not 5"),
        (
            "0 0 2 * * *",
            "it has 6 fields, not 5: there are neither seconds nor years;"
            " if the first is for seconds, write 0 2 * * *",
        ),
        ("60 2 * * *", "the minute must be 0 to 59"),
        ("*/0 2 * * *", "the minute must be 0 to 59"),
        ("30-10 2 * * *", "the minutes go backwards in 30-10; write 30-59,0-10"),
        ("0 24 * * *", "the hour must be 0 to 23"),
        ("0 2 32 * *", DAY_OF_MONTH),
        ("0 2 * 13 *", "the month must be 1 to 12, or JAN to DEC"),
        ("0 2 * * 8", DAY_OF_WEEK),
        ("0 2 30 2 *", "February has no day 30; write L for its last"),
        ("0 0 */30 2 mon#5", "there is no such day"),
    ],
)
def test_a_wrong_expression_is_refused_where_it_is(expression: str, problem: str) -> None:
    error = f"schedule: {expression!r}: {problem}"
    assert error_in(f"command: x\nschedule: '{expression}'\n") == (f"2:11: {error}", FIELDS)
    assert error_in(f"command: x\nschedule: ['@daily', '{expression}']\n")[0] == f"2:22: {error}"
    assert error_in(f"command: x\nschedule:\n  - '@daily'\n  - '{expression}'\n")[0] == f"4:5: {error}"


@pytest.mark.parametrize("name", ["@reboot", "@every 5m", "@"])
def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(name: str) -> None:
    message, hint = error_in(f"command: x\nschedule: '{name}'\n")
    assert message.startswith(f"2:11: schedule: '{name}': there is no ")
    assert message.endswith(f", only {MACROS}")
    assert hint == FIELDS


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("schedule: [5]", "2:12: schedule"),
        ("schedule: ['@daily', ~]", "2:22: schedule"),
        ("schedule: [['0 2 * * *']]", "2:12: schedule"),
        ("schedule:\n  - '@daily'\n  - {at: 5}", "4:5: schedule"),
    ],
)
def test_a_list_holds_expressions_only(text: str, place: str) -> None:
    message, _ = error_in(f"command: x\n{text}\n")
    assert message.startswith(place)
    assert f"expected {WANTED['schedule']}, got " in message


def test_more_than_a_hundred_expressions_are_refused_at_the_first_that_is_too_many() -> None:
    expressions = "\n".join(["  - '@daily'"] * 101)
    assert error_in(f"command: x\nschedule:\n{expressions}\n") == (
        "103:5: schedule: there are more than 100 expressions",
        "merge some",
    )


def test_a_list_of_no_expressions_is_refused() -> None:
    assert error_in("command: x\nschedule: []\n") == (
        "2:11: schedule: the list is empty",
        "add an expression such as @daily",
    )


@pytest.mark.parametrize("line", ["timezone: UTC", "catchup_window: 12h", "catchup_window: 0", "overlap: all"])
def test_a_key_for_schedules_is_refused_where_there_is_none(line: str) -> None:
    key = line.partition(":")[0]
    assert error_in(f"command: x\n{line}\n") == (f"2:1: '{key}' is for a task with a schedule", ALONE)


@pytest.mark.parametrize("lines", [f"{DAILY}at: 2026-12-24", "schedule: []\nat: 2026-12-24"])
def test_a_schedule_and_a_single_time_are_not_given_together(lines: str) -> None:
    assert ("3:1: 'at' and 'schedule' exclude each other", "keep one of them") in errors_in(
        f"command: x\n{lines}\n"
    )


@pytest.mark.parametrize("lines", [f"{DAILY}at:", "at: 2026-12-24\nschedule:", "schedule:\nat:"])
def test_what_is_left_empty_is_refused_even_beside_what_is_not(lines: str) -> None:
    assert re.match(r"[23]:\d+: (at|schedule): expected ", error_in(f"command: x\n{lines}\n")[0])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"command: a\n---\ncommand: b\nname: b\n{DAILY}", "1:1"),
        (f"command: a\n{DAILY}---\n# the second\ncommand: b\nname: b", "5:1"),
        (f"command: a\n{DAILY}---\ncommand: b", "4:1"),
    ],
)
def test_a_file_does_not_hold_both_schedules_and_other_tasks(text: str, place: str) -> None:
    message, hint = error_in(text)
    assert message == f"{place}: this task has no schedule, but others in the file have"
    assert hint.startswith("put it into a file of its own")


@pytest.mark.parametrize("first", ["", "name: nightly\n"])
@pytest.mark.parametrize("second", ["", "name: nightly\n"])
@pytest.mark.parametrize("due", [DAILY, "at: 2026-12-24\n"])
def test_a_file_does_not_hold_two_schedules_of_one_name(first: str, second: str, due: str) -> None:
    text = (
        f"{first}command: a\n{DAILY}---\nname: other\ncommand: a\n{due}---\n# the third\n{second}command: a\n{due}"
    )
    message, hint = error_in(text)
    place = text[: text.index("# the third")].count("\n") + 2
    assert message == f"{place}:1: there already is a schedule nightly in this file"
    assert hint == "a schedule's name is its own: give each document a name"


def test_one_bad_document_makes_the_file_bad_and_the_error_is_in_that_document() -> None:
    message, _ = error_in(f"command: a\n{DAILY}---\ncommand: b\nname: b\n{DAILY}timezone: Mars")
    assert message == f"7:11: timezone: expected {WANTED['timezone']}, got 'Mars'"


@pytest.mark.parametrize("line", ["schedule: * * * * *", "schedule: */5 * * * *", "schedule:\n  - */5 * * * *"])
def test_whoever_forgets_the_quotes_around_a_star_is_told_so(line: str) -> None:
    message, hint = error_in(f"command: x\n{line}\n")
    assert re.match(r"[23]:\d+: ", message)
    assert "quote" in hint
    assert "*" in hint


@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01", "0001-01-01T00:00:00+12:00", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
        "9892-04-05T00:00:00Z", "9999-12-31T23:59:59-12:00",
    ],
)  # fmt: skip
def test_a_time_that_no_clock_can_show_is_refused(at: str) -> None:
    assert error_in(f"command: x\nat: {at}\n") == (f"2:5: at: expected {WANTED['at']}, got {at!r}", "")
