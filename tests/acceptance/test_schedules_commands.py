"""Commands about schedules, and the exit of a server with schedules."""

import json
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


def test_schedules_says_what_there_is_to_say(place: ClockedPlace) -> None:
    place.schedule("job", "0 2 * * *", "timezone: Europe/Berlin", "catchup_window: 12h", "overlap: skip", STILL)
    place.serve_at("12:00")
    row = place.schedules()["job"]
    assert [next_[:16] for next_ in row.pop("next")] == [f"2030-05-0{day}T00:00" for day in (2, 3, 4)]
    assert row == {
        "name": "job",
        "file": "job.yaml",
        "schedule": ["0 2 * * *"],
        "at": None,
        "timezone": "Europe/Berlin",
        "in_words": "At 02:00 every day (Europe/Berlin)",
        "last_run": None,
        "catchup_window": 43200.0,
        "overlap": "skip",
        "queue": "still",
        "missed": 0,
        "paused": False,
        "error": None,
    }
    table = place.run("schedules")
    for words in ("job", "At 02:00 every day", "12h"):
        assert words in table
    assert json.loads(place.run("status", "--json"))["schedules"] == [place.schedules()["job"]]


def test_schedules_says_how_the_last_run_ended(place: ClockedPlace) -> None:
    place.schedule("job", "* * * * *", command="exit 3")
    place.serve_at("12:00:30")
    place.approach("12:01")
    run = place.becomes("job", "failed")
    last = place.schedules()["job"]["last_run"]
    assert last == {key: run[key] for key in ("id", "run_id", "scheduled_for", "state", "reason", "finished_at")}
    assert "failed" in place.run("schedules")


def test_check_prints_the_next_five_times_in_the_schedules_timezone(place: ClockedPlace) -> None:
    place.clock.set(at("12:00"))
    place.path("job.yaml").write_text('command: "true"\nschedule: "30 1 * * *"\ntimezone: Europe/Berlin\n')
    before = sorted(place.base.rglob("*"))
    said = place.run("check", "job.yaml")
    days = [day for day in range(1, 9) if f"2030-05-0{day}" in said]
    assert days == [2, 3, 4, 5, 6]
    assert said.count("01:30") >= 5
    assert sorted(place.base.rglob("*")) == before, "what only checks makes nothing"


def test_enqueue_queues_one_run_of_a_schedule_file_now(place: ClockedPlace) -> None:
    place.schedule("job", "0 2 * * *", command="touch done")
    place.serve_at("12:00")
    place.run("enqueue", str(place.folder / "job.yaml"))
    row = place.becomes("job", "succeeded")
    assert (row["trigger"], row["scheduled_for"]) == ("manual", None)
    assert place.path("done").exists()
    assert place.next("job") == "02:00"


def test_while_a_schedule_is_paused_nothing_is_made_and_that_is_never_made_up_for(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", "catchup_window: 1h", STILL)
    place.schedule("other", "*/10 * * * *", STILL)
    server = place.serve_at("12:09:30")
    place.reach("12:10")
    place.run("pause", "--schedule", "job")
    place.schedule("job", "*/10 * * * *", "catchup_window: 2h", STILL)
    eventually(lambda: place.schedules()["job"]["catchup_window"] == 7200)
    assert place.schedules()["job"]["paused"] is True
    place.reach("12:20")
    server.kill()
    place.serve_at("12:32")
    place.run("resume", "--schedule", "job")
    assert place.schedules()["job"]["paused"] is False
    place.reach("12:40")
    assert sorted(place.made()) == [*live("job", "12:10", "12:40"), *live("other", "12:10", "12:20", "12:40")]


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_schedule_that_is_not_there_cannot_be_paused_or_resumed(place: ClockedPlace, verb: str) -> None:
    place.run("init")
    assert "nobody" in place.refuse(verb, "--schedule", "nobody", code=1)


def test_an_idle_timeout_ends_a_server_that_has_schedules_only_if_it_ignores_them(
    place: ClockedPlace,
) -> None:
    place.schedule("job", "* * * * *")
    server = place.serve_at("12:00:58.5", "--idle-timeout", "0.2s")
    place.becomes("job", "succeeded")
    ignoring = place.serve("--idle-timeout", "0.2s", "--ignore-schedules")
    assert ignoring.ends(5) == 0
    assert server.process.poll() is None
    (place.folder / "job.yaml").unlink()
    assert server.ends(5) == 0


def test_a_server_in_the_background_that_ignores_schedules_leaves_when_it_is_idle(place: ClockedPlace) -> None:
    place.schedule("job", "* * * * *")
    place.run("init")
    place.run("start", "--idle-timeout", "0.2s", "--ignore-schedules")
    eventually(lambda: json.loads(place.run("status", "--json"))["servers"] == [])


def test_drain_does_not_wait_for_schedules(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", "catchup_window: 1h", command="echo . >>ledger")
    place.serve_at("12:01").kill()
    place.clock.set(at("12:32"))
    place.task("once", "echo . >>ledger")
    place.drain(seconds=10)
    assert len(place.lines("ledger")) == 4


def test_a_file_of_a_sub_folder_is_enqueued_in_its_queue(place: ClockedPlace) -> None:
    place.schedule("gpu/n", "0 2 * * *")
    place.run("init")
    place.run("enqueue", "queue/gpu/n.yaml")
    place.run("enqueue", "../gpu/n.yaml", "--queue", "other", cwd=place.state)
    place.run("enqueue", "n.yaml", cwd=place.folder / "gpu")
    assert [(row["name"], row["queue"]) for row in place.ls()] == [("n", "gpu"), ("n", "other"), ("n", "gpu")]


def test_check_takes_the_timezone_of_the_folder_that_the_file_is_in(place: ClockedPlace) -> None:
    place.clock.set(at("12:00"))
    place.run("init")
    place.drop("aqueue.yaml", "timezone: Asia/Tokyo\n")
    place.schedule("gpu/job", "30 1 * * *")
    elsewhere = place.path("elsewhere")
    elsewhere.mkdir()
    for directory in (place.base, place.folder / "gpu", elsewhere, Path("/")):
        said = place.run("check", str(place.folder / "gpu" / "job.yaml"), cwd=directory)
        assert said.count("01:30:00 JST (+09:00)") == 5


def test_a_schedule_that_is_deleted_while_it_is_paused_comes_back_as_a_new_one(place: ClockedPlace) -> None:
    place.schedule("job", "5 * * * *", STILL)
    place.serve_at("12:00")
    place.run("pause", "--schedule", "job")
    (place.folder / "job.yaml").unlink()
    eventually(lambda: place.schedules() == {})
    place.schedule("job", "5 * * * *", STILL)
    eventually(lambda: "job" in place.schedules())
    assert (place.schedules()["job"]["paused"], place.next("job")) == (False, "12:05")


def test_what_was_missed_before_a_pause_is_made_up_for_once_it_is_over(place: ClockedPlace) -> None:
    for name in ("job", "other"):
        place.schedule(name, "*/10 * * * *", STILL, "catchup_window: 1d")
    place.serve_at("12:01").kill()
    place.clock.set(at("12:32"))
    place.run("pause", "--schedule", "job")
    place.clock.set(at("12:45"))
    place.serve()
    others = caught_up("other", "12:10", "12:20", "12:30", "12:40")
    place.wait_for(len(others))
    assert place.made() == others
    place.run("resume", "--schedule", "job")
    place.make(*others, *caught_up("job", "12:10", "12:20", "12:30"))


def test_a_single_time_that_has_passed_when_it_is_first_seen_is_warned_about(place: ClockedPlace) -> None:
    place.schedule("fine", "5 * * * *", STILL)
    server = place.serve_at("12:00")
    place.task("job", "true", "at: 2030-05-01T11:59", "catchup_window: 1d")
    server.says("schedule job is never due again; check its dates, or remove its file")
    assert "schedule fine is never" not in server.text
    assert place.made() == []
