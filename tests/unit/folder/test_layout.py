import grp
import os
import stat
from pathlib import Path

import pytest

from aqueue.errors import FolderError
from aqueue.folder.layout import Folder
from tests.unit.users import NOBODY, a_group, needs_root


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "queue")
    folder.create()
    return folder


def test_a_folder_is_made_with_all_that_it_needs(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b" / "queue")
    folder.create()
    for directory in (folder.state, folder.incoming, folder.runs, folder.servers):
        assert directory.is_dir()
        assert mode(directory) == 0o700
    assert mode(folder.bell) == mode(folder.client_bell) == 0o600


def test_making_a_folder_twice_changes_nothing(folder: Folder) -> None:
    (folder.runs / "1").mkdir()
    folder.create()
    assert (folder.runs / "1").is_dir()


def test_the_state_is_closed_to_others_even_if_it_was_open(folder: Folder) -> None:
    folder.state.chmod(0o755)
    folder.create()
    assert mode(folder.state) == 0o700


def test_the_mode_of_the_state_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "queue").mkdir(0o755)
        Folder(tmp_path / "queue").create()
    finally:
        os.umask(before)
    assert mode(tmp_path / "queue" / ".aqueue") == 0o700


@pytest.mark.parametrize("sub_folder", ["", "gpu", "gpu/big"])
def test_a_folder_that_everybody_can_write_to_is_refused(folder: Folder, sub_folder: str) -> None:
    directory = folder.path / sub_folder
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o757)
    with pytest.raises(FolderError, match="everybody can write to") as caught:
        folder.create()
    assert caught.value.hint == f"chmod o-w {directory}"


def test_a_sticky_folder_is_refused_too(folder: Folder) -> None:
    folder.path.chmod(0o1777)
    with pytest.raises(FolderError, match="everybody can write to"):
        folder.check_safe()


def test_doing_what_the_hint_says_mends_it(folder: Folder) -> None:
    folder.path.chmod(0o777)
    with pytest.raises(FolderError):
        folder.check_safe()
    folder.path.chmod(mode(folder.path) & ~0o022)
    folder.check_safe()


def test_a_folder_that_a_group_with_other_members_can_write_to_is_refused(folder: Folder) -> None:
    os.chown(folder.path, -1, a_group(shared=True))
    folder.path.chmod(0o770)
    with pytest.raises(FolderError, match="a group with other members can write to") as caught:
        folder.check_safe()
    assert caught.value.hint == f"chmod g-w {folder.path}"


def test_a_folder_that_only_ones_own_private_group_can_write_to_is_fine(folder: Folder) -> None:
    os.chown(folder.path, -1, a_group(shared=False))
    folder.path.chmod(0o770)
    folder.check_safe()


@needs_root
def test_a_group_of_which_nobody_knows_the_members_may_have_some(folder: Folder) -> None:
    unknown = next(number for number in range(50_000, 60_000) if number not in {g.gr_gid for g in grp.getgrall()})
    os.chown(folder.path, -1, unknown)
    folder.path.chmod(0o770)
    with pytest.raises(FolderError, match="group"):
        folder.check_safe()


def test_a_group_that_can_only_read_does_no_harm(folder: Folder) -> None:
    os.chown(folder.path, -1, a_group(shared=True))
    folder.path.chmod(0o755)
    folder.check_safe()


@needs_root
def test_a_folder_of_somebody_else_is_refused(folder: Folder) -> None:
    os.chown(folder.path, NOBODY, -1)
    with pytest.raises(FolderError, match=f"belongs to user {NOBODY}"):
        folder.check_safe()


@needs_root
def test_state_of_somebody_else_is_refused(folder: Folder) -> None:
    os.chown(folder.state, NOBODY, -1)
    with pytest.raises(FolderError, match=f"belongs to user {NOBODY}"):
        folder.create()


def test_a_folder_that_cannot_be_made_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "queue"):
        with pytest.raises(FolderError, match="cannot be used") as caught:
            Folder(path).create()
        assert caught.value.hint


def test_sub_folders_are_found_at_any_depth_parents_first(folder: Folder, tmp_path: Path) -> None:
    for name in ("gpu", "gpu/big", "cpu", ".git", ".git/x", "rejected", "rejected/gpu", "gpu/rejected"):
        (folder.path / name).mkdir(parents=True)
    (folder.path / "x.yaml").touch()
    (folder.path / "linked").symlink_to(tmp_path)
    found = [str(directory.relative_to(folder.path)) for directory in folder.directories()]
    assert sorted(found) == ["cpu", "gpu", "gpu/big", "gpu/rejected"]
    assert found.index("gpu") < found.index("gpu/big")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("train.yaml", True), ("train.yml", True), ("gpu/train.yaml", True), ("gpu/aqueue.yaml", True),
        ("aqueue.yaml", False), ("train.json", False), ("train.yaml~", False), (".train.yaml", False),
        (".train.yaml.swp", False), ("#train.yaml#", False), (".#train.yaml", False), ("#train.yaml", False),
        ("train.yaml.bak", False), ("train.yaml.error", False), ("yaml", False), (".yaml", False),
    ],
)  # fmt: skip
def test_hidden_backup_and_swap_files_are_no_task_files(folder: Folder, name: str, is_one: bool) -> None:
    assert folder.is_task_file(str(folder.path / name)) is is_one


def test_ringing_and_telling_touch_a_file_even_if_it_is_gone(folder: Folder) -> None:
    for touch, file in ((folder.ring, folder.bell), (folder.notify_clients, folder.client_bell)):
        os.utime(file, (0, 0))
        touch()
        assert file.stat().st_mtime > 0
        file.unlink()
        touch()
        assert mode(file) == 0o600


def test_ringing_where_there_is_no_folder_any_more_does_no_harm(tmp_path: Path) -> None:
    Folder(tmp_path / "gone").ring()
    assert not (tmp_path / "gone").exists()


def test_the_directory_of_a_run_is_its_owners_alone(folder: Folder) -> None:
    folder.make_run_dir(5)
    folder.make_run_dir(5)
    assert mode(folder.run_dir(5)) == 0o700
    assert folder.log(5, 2) == folder.run_dir(5) / "attempt-2.log"
