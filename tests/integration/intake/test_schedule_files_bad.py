"""Schedule files with an error in them: what stays, what is copied, and what becomes of the copies."""

import os
import shutil
from collections.abc import Callable

import pytest

from aqueue.folder.layout import Folder
from tests.integration.conftest import as_user
from tests.integration.dropping import Taker
from tests.integration.keeping import BAD, BETTER, GOOD, IN_FORCE, TASK, Pins, names, rejected, save


def test_a_bad_file_whose_schedules_were_never_in_force_is_rejected(folder: Folder, keeper: Pins) -> None:
    save(folder.path / "nightly.yaml", BAD)
    assert keeper.settle() == []
    assert [file.moved_to for file in keeper.taker.rejected] == ["rejected/nightly.yaml"]
    assert IN_FORCE not in rejected(folder)["nightly.yaml.error"]


@pytest.mark.parametrize("place", ["nightly.yaml", "gpu/nightly.yaml"])
def test_a_bad_edit_stays_and_a_copy_of_it_is_kept_with_what_is_wrong(
    folder: Folder, keeper: Pins, place: str
) -> None:
    file = save(folder.path / place)
    keeper.settle()
    save(file, BAD)
    (news,) = keeper.settle()
    assert (news.name, news.schedules) == (place, [])
    assert news.error.startswith(f"{place}:2:11: schedule: '61 * * * *': ")
    assert file.read_text() == BAD
    assert rejected(folder) == {place: BAD, f"{place}.error": f"{news.error}\n{place}: {IN_FORCE}\n"}
    (notice,) = keeper.notices
    assert notice == "; ".join([*news.error.splitlines(), IN_FORCE])
    assert set(keeper.files.paths) == {str(file)}
    assert keeper.settle() == []


def test_all_mistakes_of_a_bad_edit_are_told(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    save(file, "command: x\nhold: 1\nschedule: [x, y]\n")
    (news,) = keeper.settle()
    places = [f"nightly.yaml:{place}: " for place in ("2:7", "3:12", "3:15")]
    assert [place for place in places if place in news.error] == places
    assert all(map(str.startswith, keeper.notices, places))
    assert len(keeper.notices) == 3
    assert keeper.notices[-1].endswith(f"; {IN_FORCE}")


def test_another_bad_edit_takes_the_place_of_the_first(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    for text in (BAD, BAD, BAD.replace("61", "62")):
        save(file, text)
        keeper.settle()
        assert rejected(folder)["nightly.yaml"] == text
    assert list(rejected(folder)) == ["nightly.yaml", "nightly.yaml.error"]
    assert len(keeper.notices) == 2


@pytest.mark.parametrize("how", ["mended", "deleted", "made a task"])
def test_a_copy_is_removed_once_the_file_is_mended_or_gone(folder: Folder, keeper: Pins, how: str) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    save(file, BAD)
    keeper.settle()
    if how == "deleted":
        file.unlink()
    else:
        save(file, GOOD if how == "mended" else TASK)
    assert names(keeper.settle()) == [("nightly.yaml", ["nightly"] if how == "mended" else [])]
    assert rejected(folder) == {}


def test_a_copy_of_an_earlier_server_is_removed_too(
    folder: Folder, keeper: Pins, new_taker: Callable[[], Taker]
) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    save(file, BAD)
    keeper.settle()
    later = Pins(new_taker())
    later.files.add_stored(["nightly.yaml"])
    (news,) = later.settle()
    assert "schedule: '61 * * * *'" in news.error
    assert list(rejected(folder)) == ["nightly.yaml", "nightly.yaml.error"]
    save(file)
    later.settle()
    assert rejected(folder) == {}


def test_the_copies_of_several_servers_are_all_removed(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    save(file, BAD)
    keeper.settle()
    for number in (2, 4):
        for ending in (".yaml", ".yaml.error"):
            shutil.copy(folder.rejected / f"nightly{ending}", folder.rejected / f"nightly-{number}{ending}")
    save(file)
    keeper.settle()
    assert rejected(folder) == {}


def test_a_copy_never_takes_the_place_of_a_file_that_was_rejected(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml", "command: [\n")
    keeper.settle()
    kept = rejected(folder)
    save(file)
    keeper.settle()
    save(file, BAD)
    keeper.settle()
    assert rejected(folder)["nightly-2.yaml"] == BAD
    assert rejected(folder).items() >= kept.items()
    save(file)
    keeper.settle()
    assert rejected(folder) == kept


def test_a_copy_is_not_removed_from_another_file_of_that_name(folder: Folder, keeper: Pins) -> None:
    for name in ("nightly.yaml", "nightly-2.yaml"):
        save(folder.path / name)
    keeper.settle()
    save(folder.path / "nightly-2.yaml", BAD)
    keeper.settle()
    save(folder.path / "nightly.yaml", BETTER)
    keeper.settle()
    assert list(rejected(folder)) == ["nightly-2.yaml", "nightly-2.yaml.error"]
    save(folder.path / "nightly.yaml", BAD.replace("61", "62"))
    keeper.settle()
    assert rejected(folder)["nightly-2.yaml"] == BAD
    save(folder.path / "nightly.yaml")
    keeper.settle()
    assert list(rejected(folder)) == ["nightly-2.yaml", "nightly-2.yaml.error"]


def test_a_copy_is_not_taken_for_that_of_a_file_whose_name_it_has(folder: Folder, keeper: Pins) -> None:
    save(folder.path / "nightly.yaml", "command: [\n")
    keeper.settle()
    for name in ("nightly.yaml", "nightly-2.yaml"):
        save(folder.path / name)
        keeper.settle()
        save(folder.path / name, BAD)
        keeper.settle()
    save(folder.path / "nightly-2.yaml")
    keeper.settle()
    (error,) = (text for text in rejected(folder).values() if IN_FORCE in text)
    assert error.startswith("nightly.yaml:")


def test_a_copy_is_removed_although_somebody_made_room_in_its_place(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml", "command: [\n")
    keeper.settle()
    save(file)
    keeper.settle()
    save(file, BAD)
    keeper.settle()
    for name in ("nightly.yaml", "nightly.yaml.error"):
        (folder.rejected / name).unlink()
    save(file)
    keeper.settle()
    assert rejected(folder) == {}


def test_an_empty_file_is_a_bad_edit_only_after_a_while(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    file.write_text("")
    assert keeper.look(file) == []
    (news,) = keeper.settle()
    assert "there is no task in it" in news.error
    assert file.exists()


@pytest.mark.parametrize(
    ("what", "why"),
    [("link", "is a symbolic link to nowhere, which does not exist"), ("pipe", "is not a regular file")],
)
def test_what_is_no_file_in_the_place_of_one_is_a_bad_edit(
    folder: Folder, keeper: Pins, what: str, why: str
) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    file.unlink()
    if what == "link":
        file.symlink_to("nowhere")
    else:
        os.mkfifo(file)
    (news,) = keeper.settle()
    assert why in news.error
    assert rejected(folder)["nightly.yaml"] == ""


def test_where_there_is_no_room_for_a_copy_the_error_is_news_all_the_same(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "gpu" / "nightly.yaml")
    keeper.settle()
    folder.rejected.mkdir(exist_ok=True)
    (folder.rejected / "gpu").write_text("in the way")
    save(file, BAD)
    (news,) = keeper.settle()
    assert "schedule: '61 * * * *'" in news.error
    save(file)
    assert names(keeper.settle()) == [("gpu/nightly.yaml", ["nightly"])]


@as_user
def test_a_file_that_cannot_be_read_any_more_is_a_bad_edit(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    file.chmod(0)
    os.utime(file)
    (news,) = keeper.settle()
    assert "permission denied" in news.error


def test_a_file_whose_name_is_not_text_is_told_so(folder: Folder, keeper: Pins) -> None:
    with open(os.fsencode(folder.path) + b"/n\xff.yaml", "w") as file:
        file.write(f"name: n\n{GOOD}")
    assert keeper.settle() == []
    assert [file.error for file in keeper.taker.rejected] == ["n\\xff.yaml: has a name that is not UTF-8"]


# Refused by the store


def test_a_new_file_that_the_store_refuses_is_rejected(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "second.yaml")
    keeper.refused = {"second.yaml"}
    keeper.settle()
    assert not file.exists()
    assert set(keeper.files.paths) == set()
    assert rejected(folder) == {
        "second.yaml": GOOD,
        "second.yaml.error": "second.yaml: there already is one\ngive it another name\n",
    }
    keeper.refused = set()
    save(file)
    assert names(keeper.settle()) == [("second.yaml", ["second"])]


def test_an_edit_that_the_store_refuses_is_a_bad_edit_until_it_is_mended(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "second.yaml")
    keeper.settle()
    keeper.refused = {"second.yaml"}
    save(file, BETTER)
    news = keeper.settle()
    assert news[-1].error == "second.yaml: there already is one\ngive it another name"
    assert rejected(folder)["second.yaml.error"].endswith(f"\nsecond.yaml: {IN_FORCE}\n")
    assert set(keeper.files.paths) == {str(file)}
    keeper.refused = set()
    save(file)
    assert names(keeper.settle()) == [("second.yaml", ["second"])]
    assert rejected(folder) == {}
