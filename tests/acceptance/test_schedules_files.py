"""A schedule is what its file says, from the moment in which it is saved."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.driving import Server
from tests.acceptance.scheduling import STILL, ClockedPlace, at, caught_up, live
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

GOOD = 'command: touch good\nschedule: "5 * * * *"\n'
BETTER = 'command: touch better\nschedule: "7 * * * *"\n'
BROKEN = 'command: touch broken\nschedule: "7 25 * * *"\n'
MISTAKE = "job.yaml:2:11: schedule: '7 25 * * *'"
LAST_GOOD = "the last good version stays in force"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def by_rename(path: Path, text: str) -> None:
    draft = path.parent.parent / "draft"
    draft.write_text(text)
    draft.rename(path)


def as_vim_does(path: Path, text: str) -> None:
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def removed_and_rewritten(path: Path, text: str) -> None:
    path.unlink()
    time.sleep(0.05)
    path.write_text(text)


def half_and_then_whole(path: Path, text: str) -> None:
    path.write_text(text[: text.index("schedule") + 4])
    time.sleep(0.05)
    path.write_text(text)


WAYS = (by_rename, as_vim_does, half_and_then_whole, removed_and_rewritten)


@pytest.mark.parametrize("save", WAYS, ids=lambda save: save.__name__)
def test_a_saved_edit_is_in_force_at_once_however_it_is_saved(
    place: ClockedPlace, save: Callable[[Path, str], None]
) -> None:
    path = place.folder / "job.yaml"
    place.drop("job.yaml", GOOD)
    server = place.serve_at("12:00")
    assert place.next("job") == "12:05"
    save(path, BETTER)
    eventually(lambda: place.next("job") == "12:07", 2)
    assert path.read_text() == BETTER
    place.approach("12:07")
    place.appears("better")
    assert place.made() == live("job", "12:07")
    assert not (place.folder / "rejected").exists()
    assert "ended" not in server.text


@pytest.mark.parametrize("end", ["rm job.yaml", "mv job.yaml job.txt", "mv job.yaml other.yaml"])
def test_a_deleted_or_renamed_file_ends_its_schedule_and_its_runs_stay(place: ClockedPlace, end: str) -> None:
    place.schedule("job", "* * * * *", STILL, "catchup_window: 1h")
    place.serve_at("12:00:30")
    place.reach("12:01")
    subprocess.run(["sh", "-c", end], cwd=place.folder, check=True)
    eventually(lambda: "job" not in place.schedules(), 2)
    place.settle()
    place.reach("12:02")
    place.clock.set(at("13:00:30"))
    place.settle()
    assert place.states("job") == {"12:01": "queued"}
    assert ("12:02" in place.states("other")) == ("other" in end)


def test_an_edit_counts_from_now_on(place: ClockedPlace) -> None:
    place.schedule("job", "0 2 * * *", "catchup_window: 2h", STILL)
    place.serve_at("12:00")
    place.clock.set(at("12:25"))
    place.settle()
    place.schedule("job", "*/10 * * * *", "catchup_window: 2h", STILL)
    eventually(lambda: place.next("job") == "12:30", 2)
    place.reach("12:30")
    assert place.made() == live("job", "12:30")


def test_a_file_that_was_deleted_while_no_server_was_up_ends_its_schedule(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", STILL, "catchup_window: 1h")
    place.serve_at("12:01").kill()
    (place.folder / "job.yaml").unlink()
    place.serve_at("12:32")
    eventually(lambda: place.schedules() == {})
    assert place.made() == []


def test_a_file_that_was_edited_while_no_server_was_up_is_caught_up_as_it_is_now(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", STILL, "catchup_window: 1h")
    place.serve_at("12:01").kill()
    place.schedule("job", "*/15 * * * *", STILL, "catchup_window: 1h")
    place.serve_at("12:32")
    place.make(*caught_up("job", "12:15", "12:30"))


def test_a_broken_edit_keeps_the_last_good_version_and_says_so_until_it_is_mended(place: ClockedPlace) -> None:
    rejected, error = (place.folder / "rejected" / f"job.yaml{ending}" for ending in ("", ".error"))

    def is_said(server: Server) -> bool:
        row = place.schedules()["job"]
        assert (row["next"][0][11:16], row["schedule"]) == ("12:05", ["5 * * * *"])
        assert rejected.read_text() == (place.folder / "job.yaml").read_text() == BROKEN
        told = error.read_text().rstrip()
        assert told.endswith(LAST_GOOD)
        assert LAST_GOOD in server.text
        return MISTAKE in told and MISTAKE in row["error"]

    place.drop("job.yaml", GOOD)
    server = place.serve_at("12:00")
    place.drop("job.yaml", BROKEN)
    # The store learns of it last.
    eventually(lambda: place.schedules()["job"]["error"])
    assert is_said(server)
    server.kill()
    server = place.serve_at("12:00:10")
    server.says(LAST_GOOD)
    assert is_said(server)
    place.reach("12:05")
    place.appears("good")
    place.drop("job.yaml", BETTER)
    eventually(lambda: place.schedules()["job"]["error"] is None, 2)
    assert place.next("job") == "12:07"
    assert not rejected.exists()
    assert not error.exists()


def test_a_broken_edit_that_is_deleted_ends_the_schedule(place: ClockedPlace) -> None:
    place.drop("job.yaml", GOOD)
    place.serve_at("12:00")
    place.drop("job.yaml", BROKEN)
    eventually((place.folder / "rejected" / "job.yaml.error").exists)
    (place.folder / "job.yaml").unlink()
    eventually(lambda: place.schedules() == {}, 2)
    eventually(lambda: not list((place.folder / "rejected").iterdir()))


def test_what_never_was_a_schedule_is_rejected_as_any_other_file(place: ClockedPlace) -> None:
    server = place.serve_at("12:00")
    place.drop("job.yaml", BROKEN)
    # That is the last of it: the .error is there before the file is moved.
    server.says("rejected job.yaml")
    assert not (place.folder / "job.yaml").exists()
    assert LAST_GOOD not in (place.folder / "rejected" / "job.yaml.error").read_text()
    assert place.schedules() == {}


def test_of_two_files_with_the_same_name_the_second_is_rejected(place: ClockedPlace) -> None:
    place.drop("first.yaml", f"name: job\n{GOOD}")
    place.serve_at("12:00")
    place.drop("second.yaml", f"name: job\n{BETTER}")
    eventually((place.folder / "rejected" / "second.yaml.error").exists)
    assert "first.yaml" in (place.folder / "rejected" / "second.yaml.error").read_text()
    assert place.next("job") == "12:05"
    assert place.schedules()["job"]["file"] == "first.yaml"


def test_a_file_whose_edit_takes_anothers_name_keeps_its_last_good_version(place: ClockedPlace) -> None:
    place.drop("first.yaml", GOOD)
    place.drop("second.yaml", BETTER)
    place.serve_at("12:00")
    place.drop("second.yaml", f"name: first\n{BETTER}")
    eventually((place.folder / "rejected" / "second.yaml.error").exists)
    assert (place.next("first"), place.next("second")) == ("12:05", "12:07")


def test_a_schedule_that_becomes_a_one_shot_task_is_run_and_ends(place: ClockedPlace) -> None:
    place.drop("job.yaml", GOOD)
    place.serve_at("12:00")
    place.drop("job.yaml", "command: touch once\n")
    place.appears("once")
    eventually(lambda: place.schedules() == {}, 2)
    assert not (place.folder / "job.yaml").exists()
    assert place.rows()["job"]["trigger"] == "file"


def test_a_sub_folder_names_the_queue_and_each_document_is_a_schedule(place: ClockedPlace) -> None:
    place.drop("gpu/both.yaml", f"name: one\n{GOOD}---\nname: two\n{BETTER}queue: own\n")
    place.serve_at("12:00")
    rows = place.schedules()
    assert {name: (row["file"], row["queue"]) for name, row in rows.items()} == {
        "one": ("gpu/both.yaml", "gpu"),
        "two": ("gpu/both.yaml", "own"),
    }
    place.drop("gpu/both.yaml", f"name: two\n{BETTER}---\nname: three\n{GOOD}")
    eventually(lambda: set(place.schedules()) == {"two", "three"}, 2)
    place.approach("12:05")
    place.appears("good")
    assert place.made() == live("three", "12:05")
    assert place.rows()["three"]["queue"] == "gpu"


def test_an_edit_that_took_anothers_name_is_in_force_once_that_is_free(place: ClockedPlace) -> None:
    place.drop("first.yaml", GOOD)
    place.drop("second.yaml", BETTER)
    place.serve_at("12:00")
    place.drop("second.yaml", f"name: first\n{BETTER}")
    eventually((place.folder / "rejected" / "second.yaml.error").exists)
    (place.folder / "first.yaml").unlink()
    eventually(lambda: place.schedules().get("first", {}).get("file") == "second.yaml", 3)
    assert set(place.schedules()) == {"first"}


def test_a_configuration_that_is_edited_changes_schedules_too(place: ClockedPlace) -> None:
    place.schedule("job", "0 2 * * *")
    place.serve_at("12:00")
    place.drop("aqueue.yaml", "timezone: Asia/Tokyo\n")
    eventually(lambda: place.next("job") == "17:00", 2)


def test_where_queues_are_disabled_a_schedule_that_becomes_a_one_shot_task_ends_and_stays(
    place: ClockedPlace,
) -> None:
    place.configure("enabled: false")
    place.drop("job.yaml", GOOD)
    place.serve_at("12:00")
    place.drop("job.yaml", "command: touch once\n")
    eventually(lambda: place.schedules() == {}, 2)
    assert (place.folder / "job.yaml").exists()
    place.configure()
    place.appears("once")
