"""A task file may be a symbolic link; what looks like something that is taken, and is not, is told once."""

import os
from pathlib import Path

import pytest

from aqueue.folder import linked
from aqueue.folder.layout import Folder
from tests.integration.accepting import tasks_of
from tests.integration.dropping import Taker
from tests.integration.keeping import BAD, BETTER, Pins, names, rejected, save
from tests.unit.users import NOBODY, needs_root

GOOD = "command: 'true'\n"


@pytest.fixture
def target(folder: Folder) -> Path:
    path = folder.parent / "tasks" / "target.yaml"
    path.parent.mkdir()
    path.write_text(GOOD)
    return path


def error_of(folder: Folder, taker: Taker) -> str:
    """Return the error of `x.yaml`, which is rejected."""
    taker.settle()
    assert taker.taken == []
    assert not os.path.lexists(folder.path / "x.yaml")
    assert (folder.rejected / "x.yaml").is_symlink()
    return taker.rejected[0].error


@pytest.mark.parametrize("is_relative", [False, True], ids=["absolute", "relative"])
def test_what_a_link_leads_to_is_taken_once_and_stays_where_it_is(
    folder: Folder, taker: Taker, target: Path, is_relative: bool
) -> None:
    link = folder.path / "gpu" / "x.yaml"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(target, link.parent) if is_relative else target)
    for _ in range(2):
        taker.settle()
    assert (taker.names, taker.rejected, taker.notices) == (["x"], [], [])
    assert not os.path.lexists(link)
    assert target.read_text() == GOOD
    (file,) = taker.taken
    taker.file_away(file, [3])
    task = folder.run_dir(3) / "task.yaml"
    assert (task.is_symlink(), task.read_text(), task.stat().st_mode & 0o777) == (False, GOOD, 0o600)
    assert os.listdir(folder.incoming) == []


def test_a_link_over_other_links_is_followed_to_its_end(folder: Folder, taker: Taker, target: Path) -> None:
    (folder.parent / "current").symlink_to("tasks")
    (folder.path / "x.yaml").symlink_to("../current/target.yaml")
    taker.settle()
    assert taker.names == ["x"]


def test_a_link_that_leads_nowhere_is_rejected_with_where(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").symlink_to("nowhere.yaml")
    assert "x.yaml: is a symbolic link to nowhere.yaml, which does not exist" in error_of(folder, taker)


def test_a_link_to_a_directory_is_rejected(folder: Folder, taker: Taker, target: Path) -> None:
    (folder.path / "x.yaml").symlink_to(target.parent)
    assert f"is a symbolic link to {target.parent}, which is not a regular file" in error_of(folder, taker)


def test_a_link_to_itself_is_rejected(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").symlink_to("x.yaml")
    assert "x.yaml, which cannot be reached" in error_of(folder, taker)


def test_a_link_to_a_file_with_a_mistake_is_rejected_and_the_file_stays(
    folder: Folder, taker: Taker, target: Path
) -> None:
    target.write_text("comand: x\n")
    (folder.path / "x.yaml").symlink_to(target)
    assert "x.yaml:1:1: unknown key 'comand'" in error_of(folder, taker)
    assert target.exists()


@needs_root
def test_a_link_to_a_file_of_another_user_is_rejected(folder: Folder, taker: Taker, target: Path) -> None:
    os.chown(target, NOBODY, -1)
    (folder.path / "x.yaml").symlink_to(target)
    assert f"belongs to user {NOBODY}" in error_of(folder, taker)


@pytest.mark.parametrize("others_can_change", ["target", "directory"])
def test_a_link_to_what_others_can_change_stays_until_the_chmod(
    folder: Folder, taker: Taker, target: Path, others_can_change: str
) -> None:
    exposed = target if others_can_change == "target" else target.parent
    mode = exposed.stat().st_mode
    exposed.chmod(0o777)
    (folder.path / "x.yaml").symlink_to(target)
    for _ in range(2):
        taker.settle()
    assert (taker.taken, taker.rejected) == ([], [])
    (notice,) = taker.notices
    assert "x.yaml cannot be taken: everybody can write to" in notice.text
    exposed.chmod(mode)
    taker.settle()
    assert taker.names == ["x"]


def test_a_target_that_is_still_written_is_awaited(folder: Folder, taker: Taker, target: Path) -> None:
    (folder.path / "x.yaml").symlink_to(target)
    with target.open("a") as file:
        taker.look()
        file.write("priority: high\n")
    taker.settle()
    assert len(taker.taken) == 1


def test_another_link_that_comes_while_the_file_is_read_is_taken_as_it_is(
    folder: Folder, taker: Taker, target: Path
) -> None:
    link, other = folder.path / "x.yaml", target.with_name("other.yaml")
    other.write_text("command: other\n")
    link.symlink_to(target)

    def relink() -> None:
        link.unlink()
        link.symlink_to(other)

    taker.before_parsing(relink)
    taker.settle()
    assert taker.commands == ["other"]
    assert [path for path in os.listdir(folder.incoming) if path.startswith(".")] == []


def test_a_link_in_the_place_of_a_file_that_is_read_is_taken_as_it_is(
    folder: Folder, taker: Taker, target: Path
) -> None:
    path = folder.path / "x.yaml"
    path.write_text("command: own\n")

    def link() -> None:
        path.unlink()
        path.symlink_to(target)

    taker.before_parsing(link)
    taker.settle()
    assert taker.commands == ["true"]


def test_what_a_crash_left_of_a_claimed_link_is_taken_up(folder: Folder, target: Path) -> None:
    link, incoming = folder.path / "x.yaml", folder.incoming / "0~gpu~x.yaml"
    link.symlink_to("../tasks/target.yaml")
    with target.open() as file:
        assert linked.move(str(link), str(incoming), file.fileno()) is not None
    target.unlink()
    assert (os.path.lexists(link), incoming.is_symlink()) == (False, True)
    for _ in range(2):
        (claimed,) = Taker(folder).left_behind
        assert [(task.name, task.queue) for task in tasks_of(claimed)] == [("x", "gpu")]
    assert os.listdir(folder.incoming) == [incoming.name]


def test_a_copy_of_which_the_link_was_never_claimed_is_removed_after_a_while(folder: Folder) -> None:
    copy = folder.incoming / ".0~gpu~x.yaml"
    copy.write_text(GOOD)
    assert Taker(folder).left_behind == []
    assert copy.exists()
    assert linked.is_copy(copy, copy.stat().st_ctime + 100.0)
    assert not copy.exists()


def test_a_schedule_file_may_be_a_link_and_an_edit_of_its_target_is_taken_up(
    folder: Folder, keeper: Pins, target: Path
) -> None:
    save(target)
    (folder.path / "nightly.yaml").symlink_to(target)
    assert names(keeper.settle()) == [("nightly.yaml", ["nightly"])]
    assert keeper.settle() == []
    save(target, BETTER)
    assert names(keeper.settle()) == [("nightly.yaml", ["nightly"])]
    save(target, BAD)
    (news,) = keeper.settle()
    assert "nightly.yaml:2:" in news.error
    assert rejected(folder)["nightly.yaml"] == BAD
    assert (folder.path / "nightly.yaml").is_symlink()


OVERLOOKED = {
    "T.YAML": "T.YAML is not taken: the name of a task file must end in .yaml or .yml; rename it",
    "t.Yml": "t.Yml is not taken: the name of a task file must end in .yaml or .yml; rename it",
    "gpu/T.YAML": "gpu/T.YAML is not taken: the name of a task file must end in .yaml or .yml; rename it",
    "aqueue.yml": "aqueue.yml is not read: the configuration is aqueue.yaml; rename it, or remove it",
    "Aqueue.yaml": "Aqueue.yaml is not read: the configuration is aqueue.yaml; rename it, or remove it",
}


@pytest.mark.parametrize("is_hinted", [False, True], ids=["found", "hinted"])
@pytest.mark.parametrize("name", OVERLOOKED)
def test_a_name_that_is_almost_right_is_told_once_and_the_file_stays(
    folder: Folder, taker: Taker, name: str, is_hinted: bool
) -> None:
    path = folder.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(GOOD)
    for _ in range(2):
        taker.look([path] if is_hinted else [])
    taker.settle()
    assert [notice.text for notice in taker.notices] == [OVERLOOKED[name]]
    assert (taker.taken, taker.rejected, path.exists()) == ([], [], True)
    path.unlink()
    taker.settle()
    path.write_text(GOOD)
    taker.settle()
    assert len(taker.notices) == 2


def test_a_linked_sub_folder_is_told_once_and_no_file_in_it_is_taken(
    folder: Folder, taker: Taker, target: Path
) -> None:
    (folder.path / "gpu").symlink_to(target.parent)
    for _ in range(2):
        taker.settle()
    (notice,) = taker.notices
    assert notice.text == "gpu/ is a symbolic link: no task file in it is taken; link to the task files themselves"
    assert (taker.taken, target.exists()) == ([], True)


def test_hidden_sub_folders_and_other_files_are_left_alone_without_a_word(folder: Folder, taker: Taker) -> None:
    hidden = folder.path / ".hidden"
    hidden.mkdir()
    for path in (hidden / "x.yaml", hidden / "T.YAML", folder.path / ".T.YAML", folder.path / "README.md"):
        path.write_text(GOOD)
    (folder.path / ".linked").symlink_to(hidden)
    taker.settle()
    assert (taker.taken, taker.notices) == ([], [])


def test_a_folder_that_is_a_link_itself_is_not_complained_of(folder: Folder) -> None:
    link = folder.parent / "linked"
    link.symlink_to(folder.path)
    taker = Taker(Folder(link))
    (folder.path / "x.yaml").write_text(GOOD)
    taker.settle()
    assert (taker.names, taker.notices) == (["x"], [])
