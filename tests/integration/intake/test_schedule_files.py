"""Schedule files in a real folder: they stay, and are news when they come, change or vanish."""

import os

import msgspec
import pytest

from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from tests.integration.conftest import as_user
from tests.integration.keeping import BETTER, GOOD, TASK, Pins, names, save


def test_a_schedule_file_stays_and_is_news(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    assert names(keeper.settle()) == [("nightly.yaml", ["nightly"])]
    assert file.read_text() == GOOD
    assert set(keeper.files.paths) == {str(file)}
    assert keeper.taker.taken == []
    assert os.listdir(folder.incoming) == []


def test_all_schedules_of_a_file_are_news_together(folder: Folder, keeper: Pins) -> None:
    save(folder.path / "all.yaml", f"name: a\n{GOOD}---\nname: b\n{GOOD}")
    assert names(keeper.settle()) == [("all.yaml", ["a", "b"])]


def test_the_queue_of_a_schedule_in_a_sub_folder_is_that_folder(folder: Folder, keeper: Pins) -> None:
    save(folder.path / "gpu" / "nightly.yaml")
    (file,) = keeper.settle()
    assert (file.name, file.schedules[0].task.queue) == ("gpu/nightly.yaml", "gpu")


def test_an_unchanged_file_is_not_read_again_in_a_scan_but_is_when_it_is_hinted_at(
    folder: Folder, keeper: Pins
) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    assert keeper.taker.inbox.files_to_examine([str(folder.path)]) == []
    assert keeper.settle() == []
    assert names(keeper.look(file)) == [("nightly.yaml", ["nightly"])]
    assert names(keeper.look(file, folder.path)) == [("nightly.yaml", ["nightly"])]


def test_all_are_read_again_when_the_configuration_has_changed(folder: Folder, keeper: Pins) -> None:
    save(folder.path / "nightly.yaml")
    (first,) = keeper.settle()
    keeper.taker.config = msgspec.structs.replace(Config(), timezone="Asia/Tokyo")
    keeper.taker.inbox.reread()
    (second,) = keeper.settle()
    assert second.schedules[0].timezone == "Asia/Tokyo" != first.schedules[0].timezone


@pytest.mark.parametrize("hinted", [True, False])
def test_an_edit_is_news_in_a_scan_too(folder: Folder, keeper: Pins, hinted: bool) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    save(file, BETTER)
    (news,) = keeper.look(file) if hinted else keeper.settle()
    assert news.schedules[0].expressions == ("@hourly",)


@pytest.mark.parametrize("hinted", [True, False])
def test_a_file_that_is_gone_gets_a_second_look_and_ends(folder: Folder, keeper: Pins, hinted: bool) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    file.unlink()
    assert keeper.look(file if hinted else folder.path) == []
    assert keeper.taker.inbox.is_in_doubt
    assert names(keeper.settle()) == [("nightly.yaml", [])]
    assert not keeper.taker.inbox.is_in_doubt
    assert set(keeper.files.paths) == set()
    assert keeper.settle() == []


def test_a_file_that_is_back_in_time_has_never_been_gone(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    file.unlink()
    keeper.look(file)
    save(file, BETTER)
    (news,) = keeper.settle()
    assert news.schedules[0].expressions == ("@hourly",)
    assert not keeper.taker.inbox.is_in_doubt


def test_a_file_that_vanishes_again_gets_another_second_look(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    for _ in range(3):
        file.unlink()
        assert keeper.look(file) == []
        save(file)
        assert names(keeper.settle()) == [("nightly.yaml", ["nightly"])]


def test_one_that_was_known_and_is_gone_at_the_start_ends(folder: Folder, keeper: Pins) -> None:
    keeper.files.add_stored(["nightly.yaml", "gpu/other.yaml"])
    assert keeper.look(folder.path) == []
    assert keeper.taker.inbox.is_in_doubt
    assert sorted(names(keeper.settle())) == [("gpu/other.yaml", []), ("nightly.yaml", [])]


def test_a_directory_in_the_place_of_a_file_ends_it(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    file.unlink()
    file.mkdir()
    assert names(keeper.settle()) == [("nightly.yaml", [])]
    assert not keeper.taker.inbox.is_in_doubt


@as_user
def test_a_sub_folder_that_cannot_be_read_ends_nothing(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "gpu" / "nightly.yaml")
    keeper.settle()
    file.parent.chmod(0)
    try:
        for hint in (folder.path, file.parent, file):
            assert keeper.look(hint) == []
        assert keeper.settle() == []
        assert set(keeper.files.paths) == {str(file)}
    finally:
        file.parent.chmod(0o700)
    save(file, BETTER)
    assert names(keeper.settle()) == [("gpu/nightly.yaml", ["nightly"])]
    file.unlink()
    assert names(keeper.settle()) == [("gpu/nightly.yaml", [])]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_sub_folder_that_is_deleted_ends_what_was_in_it(folder: Folder, keeper: Pins, at_once: bool) -> None:
    file = save(folder.path / "gpu" / "nightly.yaml")
    save(folder.path / "other.yaml")
    keeper.settle()
    file.unlink()
    file.parent.rmdir()
    hint = file if at_once else folder.path
    keeper.look(hint)
    assert names(keeper.settle()) == [("gpu/nightly.yaml", [])]


def test_a_file_that_moves_is_news_where_it_is_before_it_ends_where_it_was(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml", f"name: n\n{GOOD}")
    keeper.settle()
    file.rename(folder.path / "moved.yaml")
    assert names(keeper.settle()) == [("moved.yaml", ["n"]), ("nightly.yaml", [])]


def test_a_schedule_that_is_edited_into_a_task_ends_and_the_task_is_taken(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.settle()
    save(file, TASK)
    assert names(keeper.settle()) == [("nightly.yaml", [])]
    assert keeper.taker.names == ["nightly"]
    assert not file.exists()
    assert set(keeper.files.paths) == set()


# Where queues are disabled


def test_where_queues_are_disabled_tasks_stay_and_schedules_are_read(folder: Folder, keeper: Pins) -> None:
    save(folder.path / "nightly.yaml")
    task, bad = save(folder.path / "task.yaml", TASK), save(folder.path / "bad.yaml", "command: [\n")
    keeper.taker.config = msgspec.structs.replace(Config(), disabled_by="aqueue.yaml")
    assert names(keeper.settle()) == [("nightly.yaml", ["nightly"])]
    assert keeper.settle() == []
    assert task.exists() and bad.exists() and keeper.taker.taken == []
    assert keeper.notices == ["queues are disabled (aqueue.yaml): task files stay where they are"]
    keeper.taker.config = Config()
    keeper.taker.inbox.reread()
    keeper.settle()
    assert keeper.taker.names == ["task"]
    assert [file.source for file in keeper.taker.rejected] == ["bad.yaml"]


def test_where_they_are_disabled_a_schedule_that_is_edited_into_a_task_ends(folder: Folder, keeper: Pins) -> None:
    file = save(folder.path / "nightly.yaml")
    keeper.taker.config = msgspec.structs.replace(Config(), disabled_by="aqueue.yaml")
    keeper.settle()
    save(file, TASK)
    assert names(keeper.settle()) == [("nightly.yaml", [])]
    assert file.exists()
