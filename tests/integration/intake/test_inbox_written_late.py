"""Text written to a file while it is taken is taken, too; a run keeps what it was made of."""

import fcntl
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.intake.filing import Claim
from aqueue.store.store import Store
from tests.integration.accepting import accept_requests
from tests.integration.dropping import Taker
from tests.integration.recording import NOW
from tests.waiting import eventually

FIRST, SECOND = "command: first\n", "command: secnd\n"
NewTaker = Callable[[], Taker]


def claim(folder: Folder, taker: Taker, name: str = "x.yaml", text: str = FIRST) -> Path:
    """Have a file claimed; returns where it is now."""
    path = folder.path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    taker.settle()
    return folder.incoming / taker.taken[-1].name


def write_late(path: Path, text: str = SECOND) -> None:
    """Write as somebody does who found the file before it was claimed: the same size, and at the same time."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def begin_to_write(path: Path) -> "subprocess.Popen[bytes]":
    """Have a shell write to a file that is held still: it waits until it is not."""
    writer = subprocess.Popen(["sh", "-c", 'echo "command: second" >"$0"', path])
    inode, locks = f":{path.stat().st_ino} ", Path("/proc/locks")
    eventually(lambda: any(inode in one and "BREAKING" in one for one in locks.read_text().splitlines()))
    return writer


needs_leases = pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="there are no leases on files here")


@needs_leases
def test_what_somebody_waits_to_write_while_a_file_is_read_is_what_is_taken(
    folder: Folder, new_taker: NewTaker
) -> None:
    path = folder.path / "x.yaml"
    path.write_text(FIRST)
    taker, writers = new_taker(), []
    taker.before_parsing(lambda: writers.append(begin_to_write(path)))
    taker.settle()
    assert [writer.wait(10) for writer in writers] == [0]
    taker.settle()
    assert taker.commands == ["second"]
    assert os.listdir(folder.incoming) == [file.name for file in taker.taken]
    assert os.listdir(folder.path) == [".aqueue"]


@needs_leases
def test_what_somebody_waits_to_write_while_a_file_is_found_bad_is_taken(
    folder: Folder, new_taker: NewTaker
) -> None:
    path = folder.path / "x.yaml"
    path.write_text("comand: first\n")
    taker, writers = new_taker(), []
    taker.look()
    eventually(lambda: taker.inbox.to_recheck(time.monotonic()))
    taker.before_parsing(lambda: writers.append(begin_to_write(path)))
    taker.settle()
    assert [writer.wait(10) for writer in writers] == [0]
    taker.settle()
    assert taker.commands == ["second"]
    assert taker.rejected == []
    assert os.listdir(folder.rejected) == []


@pytest.mark.parametrize("name", ["x.yaml", "gpu/x.yml", "deep/er/odd name.yaml"])
def test_what_is_written_to_a_claimed_file_is_taken_as_a_new_one_where_it_was(
    folder: Folder, taker: Taker, name: str
) -> None:
    kept, text = f"{FIRST}name: n\n", f"{SECOND}name: n\n"
    write_late(claim(folder, taker, name, kept), text)
    taker.file_away(taker.taken[0], [3, 4])
    assert (folder.path / name).exists()
    for run in (3, 4):
        assert (folder.run_dir(run) / "task.yaml").read_text() == kept
        assert os.listdir(folder.run_dir(run)) == ["task.yaml"]
    assert [notice.text.partition(" was written ")[0] for notice in taker.notices] == [name]
    taker.settle()
    assert taker.commands == ["first", "secnd"]
    taker.file_away(taker.taken[1], [5])
    assert (folder.run_dir(5) / "task.yaml").read_text() == text
    assert os.listdir(folder.incoming) == []


def test_a_claimed_file_that_somebody_writes_to_is_filed_away_once_it_is_closed(
    folder: Folder, taker: Taker
) -> None:
    claimed = claim(folder, taker)
    with claimed.open("w") as file:
        file.write("command: sec")
        file.flush()
        taker.file_away(taker.taken[0], [3])
        assert taker.left_behind == []
        assert os.listdir(folder.path) == [".aqueue"]
        file.write("ond\n")
    taker.file_away(taker.taken[0], [3])
    taker.settle()
    assert taker.commands == ["first", "second"]


def test_what_was_dropped_meanwhile_is_not_replaced(folder: Folder, taker: Taker) -> None:
    write_late(claim(folder, taker))
    for name, command in {"x.yaml": "third", "x-2.yaml": "fourth"}.items():
        (folder.path / name).write_text(f"command: {command}\n")
    taker.file_away(taker.taken[0], [3])
    assert (folder.path / "x-3.yaml").read_text() == SECOND
    taker.settle()
    assert sorted(map(str, taker.commands)) == ["first", "fourth", "secnd", "third"]


@pytest.mark.parametrize("name", ["x.yaml", "gpu/x.yaml", "deep/er/x.yaml", "gone/x.yaml"])
def test_after_a_crash_what_was_written_late_is_taken_and_what_ran_does_not_run_again(
    folder: Folder, taker: Taker, new_taker: NewTaker, connection: sqlite3.Connection, name: str
) -> None:
    claimed, store, heir = claim(folder, taker, name), Store(connection), new_taker()
    (file,) = taker.taken
    accept_requests(store, file.name, file.requests, NOW)
    write_late(claimed)
    if name.startswith("gone"):
        (folder.path / "gone").rmdir()
    heir.file_away(file, store.runs.of_file(file.name))
    heir.settle()
    assert heir.commands == ["secnd"]
    assert [file.requests[0].task.queue for file in heir.taken] == [file.requests[0].task.queue]
    assert os.listdir(folder.incoming) == [file.name for file in heir.taken]


def test_two_servers_that_find_what_was_written_late_take_it_once(
    folder: Folder, taker: Taker, new_taker: NewTaker
) -> None:
    write_late(claim(folder, taker))
    heirs = [new_taker(), new_taker()]
    taker.file_away(taker.taken[0], [3])
    assert [heir.left_behind for heir in heirs] == [[], []]
    for heir in heirs:
        heir.settle()
    assert [heir.commands for heir in heirs] == [["secnd"], []]


def test_a_file_that_was_claimed_before_digests_were_noted_is_taken_as_it_is(folder: Folder, taker: Taker) -> None:
    old = Claim("0123456789ab000001", "gpu", "x").name
    assert old == "0123456789ab000001~gpu~x.yaml"
    (folder.incoming / old).write_text(FIRST)
    (file,) = taker.left_behind
    taker.file_away(file, [3])
    assert (folder.run_dir(3) / "task.yaml").read_text() == FIRST
