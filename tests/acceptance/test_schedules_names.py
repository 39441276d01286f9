"""Each name is that of one schedule, whatever files and servers do at the same time."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.background import asleep
from tests.acceptance.scheduling import ClockedPlace, live
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

ONE = 'name: one\ncommand: "true"\nschedule: "5 * * * *"\n'
TWO = 'name: two\ncommand: "true"\nschedule: "7 * * * *"\n'
BROKEN = 'name: one\ncommand: "true"\nschedule: "5 25 * * *"\n'
LAST_GOOD = "the last good version stays in force"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def files(place: ClockedPlace) -> dict[str, str]:
    """In which file each schedule is; none of them with an error."""
    rows = place.schedules().values()
    assert not [row for row in rows if row["error"]]
    return {row["name"]: row["file"] for row in rows}


def are_rejected(place: ClockedPlace) -> bool:
    return any(path.is_file() for path in (place.folder / "rejected").glob("**/*"))


def do(place: ClockedPlace, command: str) -> None:
    subprocess.run(["sh", "-c", command], cwd=place.folder, check=True)


@pytest.mark.parametrize("is_up", [True, False])
@pytest.mark.parametrize("how", ["saved", "moved"])
def test_two_files_may_change_names(place: ClockedPlace, is_up: bool, how: str) -> None:
    place.drop("a.yaml", ONE)
    place.drop("b.yaml", TWO)
    server = place.serve_at("12:00")
    assert files(place) == {"one": "a.yaml", "two": "b.yaml"}
    if not is_up:
        server.kill()
    if how == "saved":
        place.drop("a.yaml", TWO)
        place.drop("b.yaml", ONE)
    else:
        do(place, "mv a.yaml c && mv b.yaml a.yaml && mv c b.yaml")
    if not is_up:
        place.serve_at("12:00:10")
    eventually(lambda: files(place) == {"one": "b.yaml", "two": "a.yaml"}, 5)
    assert (place.next("one"), place.next("two")) == ("12:05", "12:07")
    place.serve_at("12:00:20")
    assert files(place) == {"one": "b.yaml", "two": "a.yaml"}
    assert not are_rejected(place)


def test_names_may_go_round(place: ClockedPlace) -> None:
    three = TWO.replace("two", "three")
    for name, content in {"a": ONE, "b": TWO, "c": three}.items():
        place.drop(f"{name}.yaml", content)
    place.serve_at("12:00")
    for name, content in {"a": TWO, "b": three, "c": ONE}.items():
        place.drop(f"{name}.yaml", content)
    eventually(lambda: files(place) == {"one": "c.yaml", "two": "a.yaml", "three": "b.yaml"}, 5)
    assert not are_rejected(place)


def test_a_file_that_is_copied_and_then_deleted_leaves_its_schedule_to_the_copy(place: ClockedPlace) -> None:
    place.drop("a.yaml", ONE)
    server = place.serve_at("12:00")
    # Not by a shell: on a busy machine, its three processes could take so long that the copy is rejected.
    shutil.copy(place.folder / "a.yaml", place.folder / "b.yaml")
    time.sleep(0.03)
    (place.folder / "a.yaml").unlink()
    eventually(lambda: files(place) == {"one": "b.yaml"}, 5)
    place.settle()
    assert not are_rejected(place)
    assert "ended" not in server.text
    place.reach("12:05")
    assert place.made() == live("one", "12:05")


def test_a_server_that_was_asleep_when_a_file_came_keeps_it_in_force_if_it_is_broken_meanwhile(
    place: ClockedPlace,
) -> None:
    sleeper = place.serve_at("12:00")
    place.serve()
    with asleep(place, sleeper.process.pid):
        place.drop("a.yaml", ONE)
        eventually(lambda: "one" in place.schedules(), 5)
        place.drop("a.yaml", BROKEN)
        eventually((place.folder / "rejected" / "a.yaml.error").exists)
    sleeper.says(LAST_GOOD)
    place.settle()
    assert (place.folder / "a.yaml").read_text() == BROKEN
    row = place.schedules()["one"]
    assert (row["schedule"], place.next("one"), "5 25 * * *" in row["error"]) == (["5 * * * *"], "12:05", True)
    place.reach("12:05")
    assert place.made() == live("one", "12:05")
    place.drop("a.yaml", ONE)
    eventually(lambda: files(place) == {"one": "a.yaml"}, 5)
    eventually(lambda: not are_rejected(place), 5)
