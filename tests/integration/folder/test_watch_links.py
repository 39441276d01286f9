"""Targets of links in the folder are watched, too: the configuration, and schedule files."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.folder.watch import Watch
from tests.integration.folder.hints import SECONDS, hints_about, is_everything, silence


@pytest.fixture
def target(folder: Folder) -> Path:
    """The file that the configuration links to, over another link."""
    path = folder.parent / "v1" / "real.yaml"
    path.parent.mkdir()
    path.write_text("jobs: 1\n")
    (folder.parent / "current").symlink_to("v1")
    folder.config.symlink_to("../current/real.yaml")
    return path


@pytest.fixture
async def watch(folder: Folder, target: Path) -> AsyncIterator[Watch]:
    with Watch(folder) as watch:
        await silence(watch)
        yield watch


def saved_in_place(path: Path) -> None:
    path.write_text("jobs: 2\n")


def saved_by_rename(path: Path) -> None:
    draft = path.with_name("draft")
    draft.write_text("jobs: 2\n")
    draft.rename(path)


def saved_as_vim_does(path: Path) -> None:
    backup = path.with_name("real.yaml~")
    path.rename(backup)
    path.write_text("jobs: 2\n")
    backup.unlink()


@pytest.mark.parametrize("change", [saved_in_place, saved_by_rename, saved_as_vim_does, Path.unlink])
async def test_a_change_of_what_the_configuration_is_a_link_to_is_told_as_one_of_it(
    folder: Folder, watch: Watch, target: Path, change: Callable[[Path], None]
) -> None:
    for _ in range(2):
        change(target)
        assert await hints_about(watch, folder.config) == {str(folder.config)}
        target.write_text("jobs: 3\n")
        assert await hints_about(watch, folder.config) == {str(folder.config)}


async def test_where_links_lead_somewhere_else_what_they_lead_to_then_is_watched(
    folder: Folder, watch: Watch, target: Path
) -> None:
    other = folder.parent / "v2" / "real.yaml"
    other.parent.mkdir()
    other.write_text("jobs: 2\n")
    draft = folder.parent / "draft"
    draft.symlink_to("v2")
    draft.rename(folder.parent / "current")
    assert str(folder.config) in await hints_about(watch, folder.config)
    saved_by_rename(other)
    assert await hints_about(watch, folder.config) == {str(folder.config)}
    saved_by_rename(target)
    hints = await watch.wait(0.1)
    assert hints == set() or is_everything(hints)
    folder.config.unlink()
    folder.config.symlink_to(target)
    await hints_about(watch, folder.config)
    saved_in_place(target)
    assert await hints_about(watch, folder.config) == {str(folder.config)}


def removed(directory: Path) -> None:
    shutil.rmtree(directory)


def renamed(directory: Path) -> None:
    directory.rename(directory.with_name("gone"))


def renamed_above(directory: Path) -> None:
    renamed(directory.parent)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("gone", [removed, renamed, renamed_above])
async def test_a_directory_that_takes_the_place_of_one_on_the_way_is_watched(
    folder: Folder, gone: Callable[[Path], None], seen: bool
) -> None:
    target = folder.parent / "conf" / "v1" / "real.yaml"
    target.parent.mkdir(parents=True)
    target.write_text("jobs: 1\n")
    folder.config.symlink_to(target)
    with Watch(folder) as watch:
        await silence(watch)
        gone(target.parent)
        if seen:
            await watch.wait(0.2)
        target.parent.mkdir(parents=True)
        target.write_text("jobs: 2\n")
        assert str(folder.path) in await hints_about(watch, folder.path)
        saved_by_rename(target)
        assert await hints_about(watch, folder.config) == {str(folder.config)}


async def test_what_else_is_where_links_lead_is_nobodys_business(folder: Folder) -> None:
    beside = folder.parent / "real.yaml"
    beside.write_text("jobs: 1\n")
    folder.config.symlink_to("../real.yaml")
    with Watch(folder) as watch:
        await silence(watch)
        (folder.parent / "task.yaml").write_text("command: x\n")
        (folder.parent / "sub").mkdir()
        (folder.parent / "task.yaml").unlink()
        hints = await watch.wait(0.1)
        assert hints == set() or is_everything(hints)
        saved_in_place(beside)
        assert await hints_about(watch, folder.config) == {str(folder.config)}
        task = folder.path / "task.yaml"
        task.write_text("command: x\n")
        assert await hints_about(watch, task) == {str(task)}


async def test_a_link_within_the_folder_keeps_nothing_from_being_told_by_its_name(folder: Folder) -> None:
    way = folder.parent / "way"
    way.symlink_to(folder.path)
    (folder.path / "conf").mkdir()
    real = folder.path / "conf" / "real.cfg"
    real.write_text("jobs: 1\n")
    folder.config.symlink_to("conf/real.cfg")
    reached = Folder(way)
    with Watch(reached) as watch:
        await silence(watch)
        saved_in_place(real)
        assert str(reached.config) in await hints_about(watch, reached.config)
        for task in (way / "task.yaml", way / "conf" / "task.yaml"):
            task.write_text("command: x\n")
            await hints_about(watch, task)


async def test_a_configuration_that_becomes_a_link_is_followed_from_then_on(folder: Folder) -> None:
    beside = folder.parent / "real.yaml"
    beside.write_text("jobs: 1\n")
    with Watch(folder) as watch:
        await silence(watch)
        folder.config.symlink_to(beside)
        await hints_about(watch, folder.config)
        saved_by_rename(beside)
        assert await hints_about(watch, folder.config) == {str(folder.config)}


async def test_a_schedule_file_that_is_a_link_is_followed_once_it_is_known(folder: Folder) -> None:
    real, link = folder.parent / "real.yaml", folder.path / "nightly.yaml"
    real.write_text("command: x\n")
    known: set[str] = set()
    with Watch(folder, known) as watch:
        await silence(watch)
        link.symlink_to(real)
        await hints_about(watch, link)
        known.add(str(link))
        assert str(folder.path) in await watch.wait(1.0)
        saved_by_rename(real)
        assert await hints_about(watch, link) == {str(link)}


async def test_a_directory_to_which_a_link_leads_may_go_and_come_back(
    folder: Folder, watch: Watch, target: Path
) -> None:
    shutil.rmtree(target.parent)
    await hints_about(watch, folder.config)
    os.mkdir(target.parent)
    target.write_text("jobs: 2\n")
    # As a server does every few seconds.
    watch.interrupt()
    assert str(folder.path) in await watch.wait(SECONDS)
    saved_by_rename(target)
    assert await hints_about(watch, folder.config) == {str(folder.config)}
