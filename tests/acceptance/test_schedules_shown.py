"""The output of `status` and `schedules` when not all is well."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.scheduling import STILL, ClockedPlace, at, caught_up, live
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def status(place: ClockedPlace) -> str:
    """Return the lines of `status` about schedules."""
    (line,) = (line for line in place.run("status").splitlines() if "schedule" in line and "rejected" not in line)
    return line


def damage(place: ClockedPlace, good: str, bad: str) -> None:
    """Change what the database says of the schedule `job`."""
    with closing(sqlite3.connect(place.state / "state.db", timeout=10)) as connection, connection:
        changed = connection.execute(
            "UPDATE schedules SET schedule = replace(schedule, ?, ?) WHERE name = 'job' RETURNING schedule",
            (good, bad),
        )
        assert bad in changed.fetchone()[0]


def test_status_says_what_is_due_and_what_is_wrong(place: ClockedPlace) -> None:
    for name, minute in {"a": 5, "b": 6, "c": 7, "d": 8}.items():
        place.schedule(name, f"{minute} 12 * * *", STILL)
    server = place.serve_at("12:00")
    assert status(place).startswith("4 schedules, next a at ")
    place.run("pause", "--schedule", "b")
    for name in ("c", "d"):
        place.schedule(name, "61 12 * * *")
        eventually((place.folder / "rejected" / f"{name}.yaml.error").exists)
    wrong = ", 1 paused, 2 files with errors, see `aqueue schedules`"
    eventually(lambda: status(place).endswith(wrong), 5)
    server.kill()
    place.clock.set(at("12:30"))
    assert status(place) == f"4 schedules, a is due{wrong}"


def test_status_says_that_a_server_starts_nothing_but_schedules(place: ClockedPlace) -> None:
    place.configure("enabled: false")
    place.serve_at("12:00")
    assert "starts nothing but schedules: queues are disabled (" in place.run("status")


@pytest.mark.parametrize(("good", "bad"), [("5 * * * *", "61 * * * *"), ('"UTC"', '"Gone/Town"')])
def test_a_schedule_that_cannot_be_understood_any_more_is_stopped_and_others_go_on(
    place: ClockedPlace, good: str, bad: str
) -> None:
    for name in ("job", "other"):
        place.schedule(name, "5 * * * *", STILL)
    server = place.serve_at("12:00")
    damage(place, good, bad)
    place.clock.set(at("12:05:10"))
    place.make(*live("other", "12:05"))
    row = place.schedules()["job"]
    assert (row["next"], "save its file again" in row["error"]) == ([], True)
    assert "save its file again" in place.run("schedules")
    assert status(place).endswith(", 1 file with errors, see `aqueue schedules`")
    assert server.process.poll() is None
    place.schedule("job", "5 * * * *", STILL)
    eventually(lambda: place.schedules()["job"]["error"] is None, 5)
    assert place.next("job") == "13:05"


@pytest.mark.parametrize(("good", "bad"), [("5 * * * *", "61 * * * *"), ('"UTC"', '"Gone/Town"')])
def test_such_a_schedule_is_shown_while_no_server_is_up_and_read_again_by_the_next(
    place: ClockedPlace, good: str, bad: str
) -> None:
    for name in ("job", "other"):
        place.schedule(name, "5 * * * *", STILL, "catchup_window: 1h")
    place.serve_at("12:00").kill()
    damage(place, good, bad)
    place.clock.set(at("12:05:10"))
    rows = json.loads(place.run("status", "--json"))["schedules"]
    assert [(row["name"], bool(row["next"])) for row in rows] == [("job", False), ("other", True)]
    assert "job" in place.run("schedules")
    server = place.serve_at("12:07")
    place.make(*caught_up("job", "12:05"), *caught_up("other", "12:05"))
    assert place.next("job") == "13:05"
    assert server.process.poll() is None
