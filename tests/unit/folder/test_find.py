from pathlib import Path

import pytest

from aqueue.errors import FolderError
from aqueue.folder.find import find, to_create
from aqueue.folder.layout import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "queue")
    folder.create()
    return folder


def test_the_named_folder_is_taken_before_all_others(folder: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    other.create()
    environment = {"AQUEUE_DIR": "other"}
    assert find("queue", environment, tmp_path).path == folder.path
    assert find(None, environment, tmp_path).path == other.path
    assert find(None, {}, tmp_path).path == folder.path
    assert find(None, {"AQUEUE_DIR": ""}, tmp_path).path == folder.path


def test_the_nearest_folder_upwards_is_found(folder: Folder, tmp_path: Path) -> None:
    deep = tmp_path / "project" / "src"
    deep.mkdir(parents=True)
    assert find(None, {}, deep).path == folder.path
    nearer = Folder(tmp_path / "project" / "queue")
    nearer.create()
    assert find(None, {}, deep).path == nearer.path


@pytest.mark.parametrize("inside", ["", "gpu", ".aqueue/runs"])
def test_the_folder_is_found_from_within(folder: Folder, inside: str) -> None:
    start = folder.path / inside
    start.mkdir(parents=True, exist_ok=True)
    assert find(None, {}, start).path == folder.path


def test_a_queue_that_is_no_folder_of_ours_is_passed_over(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "project" / "queue").mkdir(parents=True)
    assert find(None, {}, tmp_path / "project").path == folder.path


def test_without_a_folder_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FolderError) as caught:
        find(None, {}, tmp_path)
    assert "aqueue init" in caught.value.hint
    assert "--dir" in caught.value.hint


def test_a_named_folder_that_is_none_is_an_error_even_if_there_is_another(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(FolderError, match=r"^other is not an aqueue folder$") as caught:
        find("other", {}, tmp_path)
    assert caught.value.hint == "make one: aqueue init other"


def test_a_folder_is_made_where_it_is_named_or_in_queue(tmp_path: Path) -> None:
    assert to_create(None, {}, tmp_path).path == tmp_path / "queue"
    assert to_create("a/../b", {}, tmp_path).path == tmp_path / "b"
    assert to_create(None, {"AQUEUE_DIR": "/c"}, tmp_path).path == Path("/c")


def test_no_second_folder_is_made_where_one_is_found(folder: Folder, tmp_path: Path) -> None:
    assert to_create(None, {}, tmp_path).path == folder.path
