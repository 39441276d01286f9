"""Change hints: whatever happens in the folder or its sub-folders is told, and nothing else."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import watchfiles
from watchfiles import Change
from watchfiles.main import FileChange

from aqueue.errors import FolderError
from aqueue.folder.layout import Folder
from aqueue.folder.polling import Poll
from aqueue.folder.watch import Watch
from aqueue.folder.watch_files import watch_files
from tests.integration.conftest import as_user
from tests.integration.folder.hints import SECONDS, hints_about, hints_until, is_everything, silence
from tests.limits import few_processes
from tests.waiting import eventually


class NoInotify:
    """The system's library, where no instance of inotify is left."""

    def inotify_init1(self, _: int) -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1


def none_left(*_: Any, **__: Any) -> Iterator[object]:
    raise RuntimeError("Error creating recommended watcher: Too many open files (os error 24)")


@pytest.fixture(autouse=True, params=["rung for", "asked for", "looked at"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Folder) -> None:
    """Whichever way changes are found, the same is told."""
    if request.param != "rung for":
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: NoInotify())
    if request.param == "looked at":
        monkeypatch.setattr("watchfiles.watch", none_left)
        # Nobody has so much time.
        monkeypatch.setattr("aqueue.folder.polling._INTERVAL", 0.02)
        # Until then the bell of a new folder could be rung without a trace.
        eventually(lambda: time.time_ns() - folder.bell.stat().st_ctime_ns > 30_000_000)


only_told = pytest.mark.parametrize("way", ["rung for"], indirect=True)
only_looked_at = pytest.mark.parametrize("way", ["looked at"], indirect=True)


@pytest.fixture
async def watch(folder: Folder) -> AsyncIterator[Watch]:
    with Watch(folder) as watch:
        await silence(watch)
        yield watch


def drop(path: Path) -> Path:
    path.write_text("command: 'true'\n")
    return path


async def test_a_new_file_is_told(folder: Folder, watch: Watch) -> None:
    await hints_until(watch, drop(folder.path / "x.yaml"))


async def test_of_many_changes_at_once_it_is_only_told_that_there_are_some(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqueue.folder.watch._MAX_CHANGES", 2)
    with Watch(folder) as watch:
        await silence(watch)
        for number in range(100):
            drop(folder.path / f"{number}.yaml")
        assert is_everything(await watch.wait(SECONDS))


async def test_a_file_that_is_written_again_is_told_again(folder: Folder, watch: Watch) -> None:
    path = drop(folder.path / "x.yaml")
    await hints_until(watch, path)
    # Looking, it may be told twice: it could have changed without a trace just after the first time.
    await silence(watch)
    drop(path)
    await hints_until(watch, path)


async def test_a_file_that_is_renamed_into_the_folder_is_told(folder: Folder, watch: Watch) -> None:
    outside = drop(folder.parent / "x.yaml")
    await hints_until(watch, outside.rename(folder.path / "x.yaml"))


async def test_a_file_that_is_renamed_in_the_folder_is_told_by_its_new_name(folder: Folder, watch: Watch) -> None:
    hidden = drop(folder.path / ".x.yaml.part")
    await hints_until(watch, hidden)
    await hints_until(watch, hidden.rename(folder.path / "x.yaml"))


async def test_a_hard_link_is_told(folder: Folder, watch: Watch) -> None:
    os.link(drop(folder.parent / "x.yaml"), folder.path / "x.yaml")
    await hints_until(watch, folder.path / "x.yaml")


async def test_a_file_that_becomes_readable_is_told(folder: Folder, watch: Watch) -> None:
    path = drop(folder.path / "x.yaml")
    await hints_until(watch, path)
    path.chmod(0o600)
    await hints_until(watch, path)


async def test_a_file_in_a_sub_folder_that_was_there_is_told(folder: Folder) -> None:
    (folder.path / "gpu" / "deep").mkdir(parents=True)
    with Watch(folder) as watch:
        await silence(watch)
        await hints_until(watch, drop(folder.path / "gpu" / "deep" / "x.yaml"))


async def test_a_file_in_a_sub_folder_that_was_made_later_is_told(folder: Folder, watch: Watch) -> None:
    (folder.path / "gpu").mkdir()
    await hints_until(watch, drop(folder.path / "gpu" / "x.yaml"))
    await hints_until(watch, drop(folder.path / "gpu" / "y.yaml"))


async def test_a_file_two_sub_folders_down_that_were_made_later_is_told(folder: Folder, watch: Watch) -> None:
    (folder.path / "a" / "b").mkdir(parents=True)
    await hints_until(watch, folder.path / "a" / "b")
    await hints_until(watch, drop(folder.path / "a" / "b" / "x.yaml"))


async def test_what_is_in_a_sub_folder_that_was_renamed_in_is_told(folder: Folder, watch: Watch) -> None:
    outside = folder.parent / "gpu"
    outside.mkdir()
    drop(outside / "x.yaml")
    outside.rename(folder.path / "gpu")
    await hints_until(watch, folder.path / "gpu" / "x.yaml")
    await hints_until(watch, drop(folder.path / "gpu" / "y.yaml"))


async def test_a_sub_folder_that_was_deleted_and_made_again_is_watched_again(folder: Folder) -> None:
    sub_folder = folder.path / "gpu"
    sub_folder.mkdir()
    with Watch(folder) as watch:
        await silence(watch)
        for number in range(3):
            shutil.rmtree(sub_folder)
            sub_folder.mkdir()
            await hints_until(watch, drop(sub_folder / f"{number}.yaml"))
            await hints_until(watch, drop(sub_folder / f"{number}-later.yaml"))


async def test_a_sub_folder_that_was_renamed_is_watched_under_its_new_name(folder: Folder) -> None:
    (folder.path / "old").mkdir()
    with Watch(folder) as watch:
        await silence(watch)
        new = (folder.path / "old").rename(folder.path / "new")
        await hints_until(watch, new)
        await hints_until(watch, drop(new / "x.yaml"))


async def test_the_bell_is_told_each_time_it_is_rung(folder: Folder, watch: Watch) -> None:
    for _ in range(3):
        folder.ring()
        assert str(folder.bell) in await hints_until(watch, folder.bell)


async def test_nothing_is_told_of_state_and_of_rejected_files(folder: Folder) -> None:
    folder.rejected.mkdir()
    with Watch(folder) as watch:
        await silence(watch)
        folder.make_run_dir(1)
        for path in (
            folder.database,
            folder.incoming / "x.yaml",
            folder.run_dir(1) / "task.yaml",
            folder.client_bell,
        ):
            drop(path)
        drop(folder.rejected / "x.yaml")
        folder.notify_clients()
        assert await watch.wait(0.1) == set()
        last = drop(folder.path / "last.yaml")
        assert await hints_about(watch, last) == {str(last)}


async def test_nothing_is_told_of_what_a_hidden_sub_folder_holds(folder: Folder) -> None:
    (folder.path / ".git").mkdir()
    with Watch(folder) as watch:
        await silence(watch)
        drop(folder.path / ".git" / "x.yaml")
        assert await watch.wait(0.1) == set()
        last = drop(folder.path / "last.yaml")
        assert await hints_about(watch, last) == {str(last)}


async def test_what_is_deleted_is_not_told(folder: Folder) -> None:
    drop(folder.path / "x.yaml")
    with Watch(folder) as watch:
        await silence(watch)
        (folder.path / "x.yaml").unlink()
        last = drop(folder.path / "last.yaml")
        assert await hints_about(watch, last) == {str(last)}


async def test_a_wait_without_a_change_ends_in_time(watch: Watch) -> None:
    before = time.monotonic()
    assert await watch.wait(0.1) == set()
    assert 0.1 <= time.monotonic() - before < SECONDS


async def test_a_wait_of_no_or_negative_length_returns_at_once(watch: Watch) -> None:
    before = time.monotonic()
    assert await watch.wait(0.0) == await watch.wait(-1.0) == set()
    assert time.monotonic() - before < 1.0


async def test_a_wait_can_be_interrupted(folder: Folder, watch: Watch) -> None:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.wait, 60.0)
            await anyio.wait_all_tasks_blocked()
            watch.interrupt()
        watch.interrupt()
        assert await watch.wait(60.0) == {str(folder.path), str(folder.bell)}


async def test_an_interrupt_before_a_wait_is_not_lost(folder: Folder, watch: Watch) -> None:
    watch.interrupt()
    before = time.monotonic()
    assert await watch.wait(60.0) == {str(folder.path), str(folder.bell)}
    assert time.monotonic() - before < SECONDS
    assert await watch.wait(0.05) == set()


def delete(folder: Folder) -> None:
    shutil.rmtree(folder.path)


def rename_away(folder: Folder) -> None:
    folder.path.rename(folder.parent / "elsewhere")


@pytest.mark.parametrize("lose", [delete, rename_away])
async def test_a_folder_that_is_gone_is_told(folder: Folder, watch: Watch, lose: Callable[[Folder], None]) -> None:
    lose(folder)
    deadline = time.monotonic() + SECONDS
    with pytest.raises(FolderError, match="gone") as caught:
        while time.monotonic() < deadline:
            await watch.wait(1.0)
    assert caught.value.hint


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="gone"):
        Watch(Folder(tmp_path / "nowhere"))


@as_user
async def test_a_sub_folder_that_may_not_be_read_does_not_keep_others_from_being_watched(folder: Folder) -> None:
    for name in ("closed", "open"):
        (folder.path / name).mkdir()
    (folder.path / "closed").chmod(0o000)
    try:
        with Watch(folder) as watch:
            await hints_until(watch, drop(folder.path / "open" / "x.yaml"))
    finally:
        (folder.path / "closed").chmod(0o700)


_IN_NAMESPACE = ("unshare", "--user", "--map-root-user")
_SCRIPT = """\
import asyncio, contextlib, os, resource, sys
from pathlib import Path
from aqueue.folder import polling
from aqueue.folder.layout import Folder
from aqueue.folder.watch import Watch
from aqueue.folder.watch_files import watch_files
polling._INTERVAL = 0.05
folder = Folder(Path(sys.argv[1]))
seen = set()

def limit(of, number):
    Path(f"/proc/sys/user/max_inotify_{of}").write_text(str(number))

async def until(watch, path):
    seen.clear()
    while seen.isdisjoint({str(path), *map(str, path.parents)}):
        seen.update(await watch.wait(1.0))

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
    """Return the output of a script that may set the limits of inotify."""
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
async def main():
    limit("instances", 0)
    with Watch(folder, warn=print) as watch:
        (folder.path / "x.yaml").touch()
        await until(watch, folder.path / "x.yaml")
        folder.ring()
        await until(watch, folder.bell)
    wait = watch_files([str(folder.client_bell)])
    folder.notify_clients()
    wait(60.0)

asyncio.run(main())
"""


@only_told
def test_where_no_instance_is_left_the_folder_is_looked_at_and_that_is_said_once(folder: Folder) -> None:
    (said,) = printed(folder, _NO_INSTANCE)
    assert said.startswith("no inotify instance is left: the folder is checked once a second instead; `sysctl ")
    assert "max_user_instances" in said


_FEW_WATCHES = """\
async def main():
    limit("watches", 2)
    with Watch(folder, warn=print) as watch:
        until_told(True)
        for name in ("gpu", "cpu"):
            (folder.path / name).mkdir()
            await until(watch, folder.path / name)
            until_told(False)
            (folder.path / name / "x.yaml").touch()
            await until(watch, folder.path / name / "x.yaml")
        limit("watches", 100)
        watch.interrupt()
        await until(watch, folder.path)
        until_told(True)
        (folder.path / "cpu" / "y.yaml").touch()
        await until(watch, folder.path / "cpu" / "y.yaml")

asyncio.run(main())
"""


@only_told
def test_where_no_watch_is_left_for_a_new_sub_folder_it_is_looked_at_until_there_is_one(folder: Folder) -> None:
    (said,) = printed(folder, _FEW_WATCHES)
    assert said.startswith("no inotify watch is left: the folder is checked once a second instead; `sysctl ")
    assert "max_user_watches" in said


_NO_THREAD = """\
async def main():
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 1_000_000, before[1]))
    with Watch(folder, warn=print) as watch:
        wait = watch_files([str(folder.client_bell)])
        resource.setrlimit(resource.RLIMIT_AS, before)
        (folder.path / "x.yaml").touch()
        await until(watch, folder.path / "x.yaml")
    folder.notify_clients()
    wait(60.0)

asyncio.run(main())
"""


@only_told
def test_where_no_thread_can_be_started_the_folder_is_looked_at(folder: Folder) -> None:
    (said,) = printed(folder, _NO_THREAD, prefix=())
    assert "start new thread: the folder is checked once a second instead" in said


@only_told
def test_where_another_may_take_the_last_thread_the_folder_is_looked_at(folder: Folder) -> None:
    # Where there are processes of this user, there is none at all.
    (said,) = printed(folder, "Watch(folder, warn=print)", prefix=few_processes(4))
    assert "start new thread: the folder is checked once a second instead" in said


@only_looked_at
def test_a_file_that_may_have_changed_just_after_a_look_without_a_trace_is_told(tmp_path: Path) -> None:
    def is_told() -> bool:
        path = str(drop(tmp_path / "log"))
        poll = Poll([path])
        time.sleep(0.03)
        return poll.check() == {(Change.modified, path)} and not poll.check()

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
async def test_a_sub_folder_that_comes_just_before_its_parent_is_watched_is_watched_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = folder.path / "late"

    def watched(*arguments: Any, **options: Any) -> Iterator[set[FileChange]]:
        late.mkdir(exist_ok=True)
        return watching(*arguments, **options)

    watching = watchfiles.watch
    monkeypatch.setattr("watchfiles.watch", watched)
    with Watch(folder) as watch:
        await silence(watch)
        await hints_until(watch, drop(late / "x.yaml"))


@only_told
async def test_what_watchfiles_forgets_is_found_once_it_is_quiet(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(*_: Any, **__: Any) -> Iterator[set[FileChange]]:
        while True:
            yield set()

    monkeypatch.setattr("watchfiles.watch", forgetful)
    with Watch(folder) as watch:
        await silence(watch)
        (folder.path / "a" / "b").mkdir(parents=True)
        await hints_until(watch, folder.path / "a" / "b")
        await silence(watch)
        await hints_until(watch, drop(folder.path / "a" / "b" / "x.yaml"))
