"""A task file, a schedule or a configuration that others can write to is not used."""

import os
import stat
from pathlib import Path

import pytest

from aqueue.errors import FileError
from aqueue.folder import config_content
from aqueue.folder.layout import Folder, make_directories
from aqueue.formats import config_file
from tests.integration.dropping import Taker
from tests.unit.users import NOBODY, a_group, needs_root

TASK = "command: 'true'\n"
SCHEDULE = "schedule: '0 2 * * *'\ncommand: 'true'\n"


def jobs(folder: Folder) -> int:
    """The number that the file itself says, whatever it said before."""
    return config_file.parse(config_content.read(folder) or b"", "aqueue.yaml").jobs


def for_the_group(path: Path, *, shared: bool) -> None:
    """Have a group write to it, as files are made under umask 002 in a setgid directory."""
    os.chown(path, -1, a_group(shared=shared))
    path.chmod(0o664)


@pytest.mark.parametrize("content", [TASK, SCHEDULE])
@pytest.mark.parametrize("where", ["x.yaml", "gpu/x.yaml"])
def test_a_file_that_a_group_with_others_can_write_to_stays_until_the_chmod(
    folder: Folder, taker: Taker, content: str, where: str
) -> None:
    path = folder.path / where
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    for_the_group(path, shared=True)
    for _ in range(2):
        taker.settle()
    assert (taker.taken, taker.inbox.schedule_files.take_pending(), taker.rejected) == ([], [], [])
    (notice,) = taker.notices
    assert notice.urgent
    what, remedy = notice.text.split("; ")
    assert (
        what
        == f"{where} cannot be taken: a group with other members can write to it, and so run commands in your name"
    )
    assert os.system(remedy) == 0
    taker.settle()
    assert len(taker.taken) + len(taker.inbox.schedule_files.take_pending()) == 1


def test_a_file_that_only_ones_own_private_group_can_write_to_is_taken(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(TASK)
    for_the_group(path, shared=False)
    taker.settle()
    assert (taker.names, taker.notices) == (["x"], [])


def test_a_mode_that_is_mended_right_after_the_drop_is_not_mentioned(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(TASK)
    path.chmod(0o666)
    taker.look()
    path.chmod(0o600)
    taker.settle()
    assert (taker.names, taker.notices) == (["x"], [])


def test_a_sub_folder_that_others_can_write_to_by_now_is_not_taken_from(folder: Folder, taker: Taker) -> None:
    path = folder.path / "gpu" / "x.yaml"
    path.parent.mkdir()
    path.write_text(TASK)
    path.parent.chmod(0o777)
    taker.settle()
    assert taker.taken == []
    assert f"everybody can write to {path.parent}" in taker.notices[0].text
    assert f"chmod o-w {path.parent}" in taker.notices[0].text
    path.parent.chmod(0o755)
    taker.settle()
    assert taker.names == ["x"]


def test_a_schedule_that_becomes_writable_stays_as_it_was_and_knows_why(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(SCHEDULE)
    taker.settle()
    for news in taker.inbox.schedule_files.take_pending():
        taker.inbox.confirm(news)
    path.write_text(SCHEDULE.replace("2", "3"))
    path.chmod(0o666)
    taker.settle()
    (refused,) = taker.inbox.schedule_files.take_pending()
    assert refused.schedules == []
    what, remedy = refused.error.split("\n")
    assert what == "x.yaml: everybody can write to it, and so run commands in your name"
    assert remedy == f"chmod o-w {path}"
    assert path.exists()
    assert not folder.rejected.exists()
    path.chmod(0o644)
    taker.settle()
    (news,) = taker.inbox.schedule_files.take_pending()
    assert news.schedules[0].expressions == ("0 3 * * *",)


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_configuration_that_others_can_write_to_is_an_error_with_the_chmod(folder: Folder, mode: int) -> None:
    folder.config.write_text("jobs: 3\n")
    os.chown(folder.config, -1, a_group(shared=True))
    folder.config.chmod(mode)
    with pytest.raises(FileError, match="can write to it, and so run commands in your name") as caught:
        jobs(folder)
    assert os.system(caught.value.hint) == 0
    assert jobs(folder) == 3


def test_a_configuration_that_ones_own_private_group_can_write_to_is_read(folder: Folder) -> None:
    folder.config.write_text("jobs: 3\n")
    for_the_group(folder.config, shared=False)
    assert jobs(folder) == 3


@needs_root
def test_a_configuration_of_another_user_is_refused(folder: Folder) -> None:
    folder.config.write_text("jobs: 3\n")
    os.chown(folder.config, NOBODY, -1)
    with pytest.raises(FileError, match=f"belongs to user {NOBODY}"):
        jobs(folder)


def test_of_a_linked_configuration_the_target_and_what_leads_to_it_count(folder: Folder, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "aqueue.yaml"
    target.parent.mkdir()
    target.write_text("jobs: 3\n")
    folder.config.symlink_to(target)
    assert jobs(folder) == 3
    target.parent.chmod(0o777)
    with pytest.raises(FileError, match=f"everybody can write to {target.parent}"):
        jobs(folder)
    target.parent.chmod(0o755)
    target.chmod(0o666)
    with pytest.raises(FileError, match="everybody can write to it"):
        jobs(folder)


def test_the_copy_of_a_bad_edit_and_its_error_are_for_their_owner_alone_whatever_the_umask(
    folder: Folder, taker: Taker
) -> None:
    path = folder.path / "nightly" / "deep" / "x.yaml"
    make_directories(path.parent, 0o755)
    path.write_text(SCHEDULE)
    taker.settle()
    for news in taker.inbox.schedule_files.take_pending():
        taker.inbox.confirm(news)
    path.chmod(0o600)
    path.write_text("schedule: never\nenv: {T: secret}\n")
    before = os.umask(0)
    try:
        taker.settle()
    finally:
        os.umask(before)
    copy = folder.rejected / "nightly" / "deep" / "x.yaml"
    assert copy.read_text() == path.read_text()
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (copy, copy.with_name("x.yaml.error"))}
    assert modes == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder.rejected, *copy.parents[:2])} == {0o700}
