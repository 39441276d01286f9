"""Nobody else can have a folder lead elsewhere, nor is another user's folder ever used."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.errors import FolderError
from aqueue.folder.find import find, to_create
from aqueue.folder.layout import Folder
from aqueue.folder.trust import fault_of, fault_on_the_way
from tests.unit.users import NOBODY, a_group, another_user, needs_root, open_place


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that everybody can write to, without the sticky bit."""
    with open_place(0o777) as place:
        yield place


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The same with it, as /tmp is."""
    with open_place(0o1777) as place:
        yield place


def a_folder(path: Path) -> Folder:
    folder = Folder(path)
    folder.create()
    return folder


@needs_root
def test_a_folder_of_another_user_above_is_never_used_and_the_error_says_why(scratch: Path) -> None:
    with another_user():
        a_folder(scratch / "queue")
    start = scratch / "mine" / "src"
    start.mkdir(parents=True)
    with pytest.raises(FolderError) as caught:
        find(None, {}, start)
    assert "there is no aqueue folder here or above" in caught.value.message
    assert f"{scratch}/queue is not used: it belongs to user {NOBODY}" in caught.value.message
    assert "--dir" in caught.value.hint
    assert to_create(None, {}, start).path == start / "queue"


@needs_root
def test_ones_own_folder_in_a_sticky_directory_is_used_from_below(scratch: Path) -> None:
    with another_user():
        folder = a_folder(scratch / "queue")
        (scratch / "mine").mkdir()
        assert find(None, {}, scratch / "mine").path == folder.path


@needs_root
@pytest.mark.parametrize("name", ["queue", None])
def test_another_users_folder_is_refused_when_it_is_named_also_by_root(scratch: Path, name: str | None) -> None:
    with another_user():
        folder = a_folder(scratch / "queue")
    environment = {} if name else {"AQUEUE_DIR": str(folder.path)}
    for action in (lambda: find(name, environment, scratch), folder.create):
        with pytest.raises(FolderError, match=f"belongs to user {NOBODY}") as caught:
            action()
        assert f"sudo -u '#{NOBODY}'" in caught.value.hint


@needs_root
def test_the_search_ends_at_a_directory_of_another_user(scratch: Path) -> None:
    a_folder(scratch / "queue")
    theirs = scratch / "theirs"
    (theirs / "deep").mkdir(parents=True)
    os.chown(theirs, NOBODY, NOBODY)
    with pytest.raises(FolderError, match=f"the search ended at {theirs}: it belongs to user {NOBODY}"):
        find(None, {}, theirs / "deep")


def test_the_search_ends_at_a_directory_that_everybody_can_write_to(shared: Path) -> None:
    (shared / "mine").mkdir()
    with pytest.raises(FolderError, match=f"the search ended at {shared}: everybody can write to it"):
        find(None, {}, shared / "mine")


@pytest.mark.parametrize("depth", ["queue", "a/b/queue"])
def test_a_folder_below_a_directory_that_everybody_can_write_to_is_neither_used_nor_made(
    shared: Path, depth: str
) -> None:
    folder = Folder(shared / depth)
    with pytest.raises(FolderError, match=f"everybody can write to {shared}, and so could replace") as caught:
        folder.create()
    assert caught.value.hint == f"chmod +t {shared}"
    assert list(shared.iterdir()) == []
    shared.chmod(0o1777)
    folder.create()
    shared.chmod(0o777)
    with pytest.raises(FolderError, match="everybody can write to"):
        find(str(folder.path), {}, shared)
    with pytest.raises(FolderError, match="everybody can write to"):
        find(None, {}, folder.parent)


def test_a_directory_above_that_a_group_with_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    os.chown(tmp_path / "lab", -1, a_group(shared=True))
    (tmp_path / "lab").chmod(0o2775)
    folder = Folder(tmp_path / "lab" / "me" / "queue")
    with pytest.raises(FolderError, match="a group with other members can write to"):
        folder.create()
    os.chown(tmp_path / "lab", -1, a_group(shared=False))
    (tmp_path / "lab").chmod(0o2775)
    folder.create()


def test_a_link_on_the_way_counts_with_the_directory_that_it_lies_in(shared: Path, tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "queue")
    (shared / "link").symlink_to(tmp_path)
    (tmp_path / "safe").symlink_to(shared / "link")
    for path in (shared / "link", tmp_path / "safe"):
        with pytest.raises(FolderError, match=f"everybody can write to {shared}"):
            find(str(path / "queue"), {}, tmp_path)
    (tmp_path / "short").symlink_to("queue")
    assert find("short", {}, tmp_path).state == folder.state


@needs_root
def test_another_users_link_in_a_sticky_directory_is_refused(scratch: Path) -> None:
    a_folder(scratch / "queue")
    (scratch / "link").symlink_to("queue")
    os.lchown(scratch / "link", NOBODY, NOBODY)
    fault = fault_on_the_way(str(scratch / "link" / ".aqueue"))
    assert fault is not None
    assert f"{scratch}/link belongs to user {NOBODY}" in fault.text


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert fault_on_the_way(str(tmp_path / "a" / "queue")) is None
    assert fault_on_the_way(f"{tmp_path}/../{tmp_path.name}/./queue") is None


@pytest.mark.parametrize(
    "name", ["runs", "incoming", "servers", "logs", "scratch", "state.db", "bell", "news", "orders", "later"]
)
def test_no_link_below_the_state_is_followed(tmp_path: Path, name: str) -> None:
    folder = a_folder(tmp_path / "queue")
    path = folder.state / name
    if path.exists():
        path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for action in (lambda: find(None, {}, tmp_path), folder.create):
        with pytest.raises(FolderError, match=f"{path} is a symbolic link"):
            action()


@needs_root
def test_what_another_user_owns_below_the_state_is_refused(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "queue")
    os.chown(folder.runs, NOBODY, -1)
    with pytest.raises(FolderError, match=f"{folder.runs} belongs to user {NOBODY}"):
        find(None, {}, tmp_path)


@needs_root
def test_what_root_has_left_in_a_users_state_is_given_back_by_the_command_in_the_hint(scratch: Path) -> None:
    with another_user():
        folder = a_folder(scratch / "queue")
        folder.database.touch()
    os.chown(folder.database, 0, 0)
    with another_user(), pytest.raises(FolderError, match="belongs to user 0") as caught:
        folder.check()
    command = caught.value.hint.partition(": ")[2].removeprefix("sudo ")
    assert os.system(command) == 0
    with another_user():
        folder.check()


def test_a_state_that_others_can_write_to_is_refused_by_every_command(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "queue")
    folder.state.chmod(0o702)
    for action in (lambda: find(None, {}, tmp_path), folder.create):
        with pytest.raises(FolderError, match="everybody can write to") as caught:
            action()
        assert caught.value.hint == f"chmod o-w {folder.state}"


def test_directories_on_the_way_to_a_new_folder_are_not_for_others_to_write_to_whatever_the_umask(
    tmp_path: Path,
) -> None:
    before = os.umask(0)
    try:
        a_folder(tmp_path / "a" / "b" / "queue")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o755] * 2


def test_one_chmod_mends_all_that_a_mode_allows_others(tmp_path: Path) -> None:
    file = tmp_path / "odd name.yaml"
    file.touch()
    os.chown(file, -1, a_group(shared=True))
    file.chmod(0o666)
    fault = fault_of(str(file), file.stat())
    assert fault is not None
    assert fault.hint == f"chmod go-w '{file}'"
    assert os.system(fault.hint) == 0
    assert fault_of(str(file), file.stat()) is None
