"""A file that others may write to unseen is taken once it has been quiet."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.folder import settled
from aqueue.folder.layout import Folder
from aqueue.folder.settling import QUIET_SECONDS
from aqueue.intake.config_reload import ConfigReload
from tests.integration.dropping import Taker
from tests.waiting import eventually


@pytest.fixture
def mounted_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the kernel say that the folder is on a file system that others reach, too."""
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"27 1 {os.major(device)}:{os.minor(device)} / / rw - fuse.sshfs me@host: rw\n")
    monkeypatch.setattr(settled, "MOUNTS", mounts)
    yield


@pytest.fixture
def below(tmp_path: Path) -> Iterator[Path]:
    """The directory that is seen as the folder, by way of a program."""
    below, seen = tmp_path / "below", tmp_path / "seen"
    below.mkdir()
    seen.mkdir()
    unmount = shutil.which("fusermount3") or shutil.which("fusermount")
    if shutil.which("bindfs") is None or unmount is None:
        pytest.skip("bindfs is not installed")
    mount = subprocess.run(["bindfs", below, seen], capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"bindfs cannot mount here: {mount.stderr.strip()}")
    yield below
    subprocess.run([unmount, "-u", "-z", seen], check=True)


def keep_looking(taker: Taker) -> None:
    """Look again and again for half the time that a file must be quiet."""
    deadline = time.monotonic() + QUIET_SECONDS / 2
    while time.monotonic() < deadline:
        taker.look()
        time.sleep(0.01)


@pytest.mark.usefixtures("mounted_as")
def test_a_file_that_keeps_growing_is_taken_once_it_has_been_quiet(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    for piece in ("command: echo one", " two", " three\n"):
        with path.open("a") as file:
            file.write(piece)
        keep_looking(taker)
    assert taker.taken == []
    changed = time.monotonic()
    taker.settle()
    assert taker.commands == ["echo one two three"]
    assert time.monotonic() - changed > QUIET_SECONDS / 3


@pytest.mark.usefixtures("mounted_as")
def test_a_file_that_is_open_for_writing_here_is_not_taken_however_quiet(folder: Folder, taker: Taker) -> None:
    with (folder.path / "x.yaml").open("w") as file:
        file.write("command: half")
        file.flush()
        deadline = time.monotonic() + 1.2 * QUIET_SECONDS
        while time.monotonic() < deadline:
            taker.look()
            time.sleep(0.01)
        assert taker.taken == []
    taker.settle()
    assert taker.commands == ["half"]


@pytest.mark.usefixtures("mounted_as")
def test_a_schedule_file_waits_for_quiet_too(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text('command: a\nschedule: "5 * * * *"\n')
    keep_looking(taker)
    assert taker.inbox.schedule_files.take_pending() == []
    taker.settle()
    assert [news.name for news in taker.inbox.schedule_files.take_pending()] == ["x.yaml"]


@pytest.mark.usefixtures("mounted_as")
def test_an_edit_of_the_configuration_waits_for_quiet_too(folder: Folder) -> None:
    folder.config.write_text("jobs: 2\n")
    settings = ConfigReload(folder, {}, lambda *_: None)
    folder.config.write_text("jobs: 1")
    assert not settings.reload()
    with folder.config.open("a") as file:
        file.write("0\n")
    assert not settings.reload()
    eventually(settings.reload)
    assert settings.config.jobs == 10
    assert settings.next_check is None


def test_a_file_that_is_written_below_a_mount_is_taken_whole(below: Path) -> None:
    folder = Folder(below.parent / "seen" / "queue")
    folder.create()
    taker = Taker(folder)
    with (below / "queue" / "x.yaml").open("w") as file:
        file.write("command: echo half")
        file.flush()
        keep_looking(taker)
        file.write(" and half\n")
    taker.settle()
    assert taker.commands == ["echo half and half"]
