"""Change hints: whatever happens in the folder or its sub-folders is told, and nothing else."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from aqueue.errors import FolderError
from aqueue.folder.layout import Folder
from aqueue.folder.polling import Poll
from aqueue.folder.watch import Watch, watch_files
from tests.integration.conftest import as_user
from tests.limits import few_processes
from tests.waiting import eventually

SECONDS = 10.0


@pytest.fixture(autouse=True, params=["told by the kernel", "looked at"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Folder) -> None:
    """Whichever way changes are found, the same is told."""
    if request.param == "looked at":

        def none_left(*_: Any, **__: Any) -> RustNotify:
            raise WatchfilesRustInternalError(
                "Error creating recommended watcher: Too many open files (os error 24)"
            )

        monkeypatch.setattr("aqueue.folder.watch.RustNotify", none_left)
        # Nobody has so much time.
        monkeypatch.setattr("aqueue.folder.polling._EVERY", 0.02)
        # Until then the bell of a new folder could be rung without a trace.
        eventually(lambda: time.time_ns() - folder.bell.stat().st_ctime_ns > 30_000_000)


only_told = pytest.mark.parametrize("way", ["told by the kernel"], indirect=True)
only_looked_at = pytest.mark.parametrize("way", ["looked at"], indirect=True)


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
    # Looking, it may be told twice: it could have changed without a trace just after the first time.
    eventually(lambda: watch.wait(0.1) == set())
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
            hints_until(watch, drop(sub_folder / f"{number}.yaml"))
            hints_until(watch, drop(sub_folder / f"{number}-later.yaml"))


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
    assert found == [{str(folder.path), str(folder.bell)}]


def test_an_interrupt_before_a_wait_is_not_lost(folder: Folder, watch: Watch) -> None:
    watch.interrupt()
    before = time.monotonic()
    assert watch.wait(60.0) == {str(folder.path), str(folder.bell)}
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


_IN_NAMESPACE = ("unshare", "--user", "--map-root-user")
_SCRIPT = """\
import contextlib, os, resource, sys
from pathlib import Path
from aqueue.folder import polling
from aqueue.folder.layout import Folder
from aqueue.folder.watch import Watch, watch_files
polling._EVERY = 0.05
folder = Folder(Path(sys.argv[1]))
seen = set()

def limit(of, number):
    Path(f"/proc/sys/user/max_inotify_{of}").write_text(str(number))

def until(watch, path):
    seen.clear()
    while seen.isdisjoint({str(path), *map(str, path.parents)}):
        seen.update(watch.wait(1.0))

def until_told(wanted):
    # The thread of a watch that is closed takes a moment.
    while wanted != ("anon_inode:inotify" in links()):
        pass

def links():
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/self/fd/{descriptor}")
"""


def printed(folder: Folder, script: str, *, prefix: Sequence[str] = _IN_NAMESPACE) -> list[str]:
    """What a script prints that may set the limits of inotify."""
    if prefix is _IN_NAMESPACE and (
        not shutil.which("unshare")
        or subprocess.run(
            [*_IN_NAMESPACE, "test", "-w", "/proc/sys/user/max_inotify_watches"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs user namespaces, in which the limits of inotify can be lowered")
    command = [*prefix, sys.executable, "-c", _SCRIPT + script, str(folder.path)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.splitlines()


_NO_INSTANCE = """\
limit("instances", 0)
with Watch(folder, warn=print) as watch:
    (folder.path / "x.yaml").touch()
    until(watch, folder.path / "x.yaml")
    folder.ring()
    until(watch, folder.bell)
wait = watch_files([str(folder.news)])
folder.tell()
wait(60.0)
"""


@only_told
def test_where_no_instance_is_left_the_folder_is_looked_at_and_that_is_said_once(folder: Folder) -> None:
    (said,) = printed(folder, _NO_INSTANCE)
    assert said.startswith("no inotify instance is left: the folder is looked at once a second instead; `sysctl ")
    assert "max_user_instances" in said


_FEW_WATCHES = """\
limit("watches", 2)
with Watch(folder, warn=print) as watch:
    until_told(True)
    for name in ("gpu", "cpu"):
        (folder.path / name).mkdir()
        until(watch, folder.path / name)
        until_told(False)
        (folder.path / name / "x.yaml").touch()
        until(watch, folder.path / name / "x.yaml")
    limit("watches", 100)
    watch.interrupt()
    until(watch, folder.path)
    until_told(True)
    (folder.path / "cpu" / "y.yaml").touch()
    until(watch, folder.path / "cpu" / "y.yaml")
"""


@only_told
def test_where_no_watch_is_left_for_a_new_sub_folder_it_is_looked_at_until_there_is_one(folder: Folder) -> None:
    (said,) = printed(folder, _FEW_WATCHES)
    assert said.startswith("no inotify watch is left: the folder is looked at once a second instead; `sysctl ")
    assert "max_user_watches" in said


_NO_THREAD = """\
before = resource.getrlimit(resource.RLIMIT_AS)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1_000_000, before[1]))
with Watch(folder, warn=print) as watch:
    wait = watch_files([str(folder.news)])
    resource.setrlimit(resource.RLIMIT_AS, before)
    (folder.path / "x.yaml").touch()
    until(watch, folder.path / "x.yaml")
folder.tell()
wait(60.0)
"""


@only_told
def test_where_no_thread_can_be_started_the_folder_is_looked_at(folder: Folder) -> None:
    (said,) = printed(folder, _NO_THREAD, prefix=())
    assert "start new thread: the folder is looked at once a second instead" in said


@only_told
def test_where_another_may_take_the_last_thread_the_folder_is_looked_at(folder: Folder) -> None:
    # Where there are processes of this user, there is none at all.
    (said,) = printed(folder, "Watch(folder, warn=print)", prefix=few_processes(4))
    assert "start new thread: the folder is looked at once a second instead" in said


@only_looked_at
def test_a_file_that_may_have_changed_just_after_a_look_without_a_trace_is_told(tmp_path: Path) -> None:
    never = threading.Event()

    def is_told() -> bool:
        path = str(drop(tmp_path / "log"))
        poll = Poll([path])
        told = poll.watch(0.1, never) == {(2, path)}
        assert poll.watch(0.1, never) == "timeout"
        return told

    # A look that comes late finds a file that is old enough.
    eventually(is_told)


def test_a_few_files_can_be_watched(tmp_path: Path) -> None:
    path = drop(tmp_path / "log")
    wait = watch_files([str(path)])
    before = time.monotonic()
    with path.open("a") as file:
        file.write("more\n")
    wait(60.0)
    assert time.monotonic() - before < SECONDS


@only_told
def test_a_sub_folder_that_comes_just_before_its_parent_is_watched_is_watched_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = folder.path / "late"

    def watched(*arguments: Any, **options: Any) -> RustNotify:
        late.mkdir(exist_ok=True)
        return RustNotify(*arguments, **options)

    monkeypatch.setattr("aqueue.folder.watch.RustNotify", watched)
    with Watch(folder) as watch:
        path = drop(late / "x.yaml")
        assert str(path) in hints_until(watch, path)
