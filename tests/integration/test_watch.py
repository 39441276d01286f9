"""Change hints: whatever happens in the folder or its sub-folders is told, and nothing else."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchfiles._rust_notify import RustNotify

from aqueue.errors import FolderError
from aqueue.folder import Folder
from aqueue.watch import Watch, watch_files
from tests.integration.conftest import as_user

SECONDS = 10.0


@pytest.fixture
def watch(folder: Folder) -> Iterator[Watch]:
    with Watch(folder) as watch:
        yield watch


def hints_until(watch: Watch, path: Path) -> set[str]:
    """All hints up to the first that is about `path`; a directory stands for all that is in it."""
    wanted = {str(path), *map(str, path.parents)}
    hints: set[str] = set()
    deadline = time.monotonic() + SECONDS
    while hints.isdisjoint(wanted):
        assert time.monotonic() < deadline, f"no hint about {path}, only about {hints}"
        hints |= watch.wait(1.0)
    return hints


def drop(path: Path) -> Path:
    path.write_text("command: 'true'\n")
    return path


def test_a_new_file_is_told(folder: Folder, watch: Watch) -> None:
    hints_until(watch, drop(folder.path / "x.yaml"))


def test_a_file_that_is_written_again_is_told_again(folder: Folder, watch: Watch) -> None:
    path = drop(folder.path / "x.yaml")
    hints_until(watch, path)
    assert watch.wait(0.1) == set()
    drop(path)
    hints_until(watch, path)


def test_a_file_that_is_renamed_into_the_folder_is_told(folder: Folder, watch: Watch) -> None:
    outside = drop(folder.parent / "x.yaml")
    hints_until(watch, outside.rename(folder.path / "x.yaml"))


def test_a_file_that_is_renamed_within_the_folder_is_told_by_its_new_name(folder: Folder, watch: Watch) -> None:
    hidden = drop(folder.path / ".x.yaml.part")
    hints_until(watch, hidden)
    hints_until(watch, hidden.rename(folder.path / "x.yaml"))


def test_a_hard_link_is_told(folder: Folder, watch: Watch) -> None:
    os.link(drop(folder.parent / "x.yaml"), folder.path / "x.yaml")
    hints_until(watch, folder.path / "x.yaml")


def test_a_file_that_becomes_readable_is_told(folder: Folder, watch: Watch) -> None:
    path = drop(folder.path / "x.yaml")
    hints_until(watch, path)
    path.chmod(0o600)
    hints_until(watch, path)


def test_a_file_in_a_sub_folder_that_was_there_is_told(folder: Folder) -> None:
    (folder.path / "gpu" / "deep").mkdir(parents=True)
    with Watch(folder) as watch:
        hints_until(watch, drop(folder.path / "gpu" / "deep" / "x.yaml"))


def test_a_file_in_a_sub_folder_that_was_made_later_is_told(folder: Folder, watch: Watch) -> None:
    (folder.path / "gpu").mkdir()
    hints_until(watch, drop(folder.path / "gpu" / "x.yaml"))
    hints_until(watch, drop(folder.path / "gpu" / "y.yaml"))


def test_a_file_in_a_sub_folder_of_a_sub_folder_that_was_made_later_is_told(folder: Folder, watch: Watch) -> None:
    (folder.path / "a" / "b").mkdir(parents=True)
    hints_until(watch, folder.path / "a" / "b")
    hints_until(watch, drop(folder.path / "a" / "b" / "x.yaml"))


def test_what_is_in_a_sub_folder_that_was_renamed_in_is_told(folder: Folder, watch: Watch) -> None:
    outside = folder.parent / "gpu"
    outside.mkdir()
    drop(outside / "x.yaml")
    outside.rename(folder.path / "gpu")
    hints_until(watch, folder.path / "gpu" / "x.yaml")
    hints_until(watch, drop(folder.path / "gpu" / "y.yaml"))


def test_a_sub_folder_that_was_deleted_and_made_again_is_watched_again(folder: Folder) -> None:
    sub_folder = folder.path / "gpu"
    sub_folder.mkdir()
    with Watch(folder) as watch:
        for number in range(3):
            shutil.rmtree(sub_folder)
            sub_folder.mkdir()
            hints_until(watch, sub_folder)
            hints_until(watch, drop(sub_folder / f"{number}.yaml"))


def test_a_sub_folder_that_was_renamed_is_watched_under_its_new_name(folder: Folder) -> None:
    (folder.path / "old").mkdir()
    with Watch(folder) as watch:
        new = (folder.path / "old").rename(folder.path / "new")
        hints_until(watch, new)
        hints_until(watch, drop(new / "x.yaml"))


def test_the_bell_is_told_each_time_it_is_rung(folder: Folder, watch: Watch) -> None:
    for _ in range(3):
        folder.ring()
        assert str(folder.bell) in hints_until(watch, folder.bell)


def test_nothing_is_told_of_state_and_of_rejected_files(folder: Folder) -> None:
    folder.rejected.mkdir()
    with Watch(folder) as watch:
        folder.make_run_dir(1)
        for path in (folder.database, folder.incoming / "x.yaml", folder.run_dir(1) / "task.yaml", folder.news):
            drop(path)
        drop(folder.rejected / "x.yaml")
        folder.tell()
        last = drop(folder.path / "last.yaml")
        assert hints_until(watch, last) == {str(last)}


def test_nothing_is_told_of_what_a_hidden_sub_folder_holds(folder: Folder) -> None:
    (folder.path / ".git").mkdir()
    with Watch(folder) as watch:
        drop(folder.path / ".git" / "x.yaml")
        last = drop(folder.path / "last.yaml")
        assert hints_until(watch, last) == {str(last)}


def test_what_is_deleted_is_not_told(folder: Folder) -> None:
    drop(folder.path / "x.yaml")
    with Watch(folder) as watch:
        (folder.path / "x.yaml").unlink()
        last = drop(folder.path / "last.yaml")
        assert hints_until(watch, last) == {str(last)}


def test_a_wait_without_a_change_ends_in_time(watch: Watch) -> None:
    before = time.monotonic()
    assert watch.wait(0.1) == set()
    assert 0.1 <= time.monotonic() - before < SECONDS


def test_a_wait_of_no_or_negative_length_returns_at_once(watch: Watch) -> None:
    before = time.monotonic()
    assert watch.wait(0.0) == watch.wait(-1.0) == set()
    assert time.monotonic() - before < 1.0


def test_a_wait_can_be_interrupted_from_another_thread(folder: Folder, watch: Watch) -> None:
    found: list[set[str]] = []
    waiting = threading.Thread(target=lambda: found.append(watch.wait(60.0)))
    waiting.start()
    watch.interrupt()
    waiting.join(SECONDS)
    assert not waiting.is_alive()
    assert found == [{str(folder.path)}]


def test_an_interrupt_before_a_wait_is_not_lost(folder: Folder, watch: Watch) -> None:
    watch.interrupt()
    before = time.monotonic()
    assert watch.wait(60.0) == {str(folder.path)}
    assert time.monotonic() - before < SECONDS
    assert watch.wait(0.05) == set()


def delete(folder: Folder) -> None:
    shutil.rmtree(folder.path)


def rename_away(folder: Folder) -> None:
    folder.path.rename(folder.parent / "elsewhere")


@pytest.mark.parametrize("lose", [delete, rename_away])
def test_a_folder_that_is_gone_is_an_error(folder: Folder, watch: Watch, lose: Callable[[Folder], None]) -> None:
    lose(folder)
    deadline = time.monotonic() + SECONDS
    with pytest.raises(FolderError, match="gone") as caught:
        while time.monotonic() < deadline:
            watch.wait(1.0)
    assert caught.value.hint


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="gone"):
        Watch(Folder(tmp_path / "nowhere"))


@as_user
def test_a_sub_folder_that_may_not_be_read_does_not_keep_others_from_being_watched(folder: Folder) -> None:
    for name in ("closed", "open"):
        (folder.path / name).mkdir()
    (folder.path / "closed").chmod(0o000)
    try:
        with Watch(folder) as watch:
            hints_until(watch, drop(folder.path / "open" / "x.yaml"))
    finally:
        (folder.path / "closed").chmod(0o700)


_WITH_FEW_WATCHES = """\
import sys
from pathlib import Path
from aqueue.errors import FolderError
from aqueue.folder import Folder
from aqueue.watch import Watch
Path("/proc/sys/user/max_inotify_watches").write_text("3")
try:
    Watch(Folder(Path(sys.argv[1])))
except FolderError as error:
    print(error.hint)
"""


def test_a_limit_that_keeps_it_from_watching_is_an_error(folder: Folder) -> None:
    if (
        not shutil.which("unshare")
        or subprocess.run([*_IN_NAMESPACE, "test", "-w", _LIMIT], check=False).returncode
    ):
        pytest.skip("needs user namespaces, in which the limit can be lowered")
    for number in range(5):
        (folder.path / str(number)).mkdir()
    command = [*_IN_NAMESPACE, sys.executable, "-c", _WITH_FEW_WATCHES, str(folder.path)]
    tried = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert "max_user_watches" in tried.stdout


_LIMIT = "/proc/sys/user/max_inotify_watches"
_IN_NAMESPACE = ["unshare", "--user", "--map-root-user"]


def test_a_few_files_can_be_watched(tmp_path: Path) -> None:
    path = drop(tmp_path / "log")
    wait = watch_files([str(path)], 60.0)
    before = time.monotonic()
    with path.open("a") as file:
        file.write("more\n")
    wait()
    assert time.monotonic() - before < SECONDS


def test_a_sub_folder_that_comes_just_before_its_parent_is_watched_is_watched_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = folder.path / "late"

    def watched(*arguments: Any, **options: Any) -> RustNotify:
        late.mkdir(exist_ok=True)
        return RustNotify(*arguments, **options)

    monkeypatch.setattr("aqueue.watch.RustNotify", watched)
    with Watch(folder) as watch:
        path = drop(late / "x.yaml")
        assert str(path) in hints_until(watch, path)
