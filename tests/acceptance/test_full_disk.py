"""A full disk: nothing new is started, it is said once, and when there is room again all goes on."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driving import Place, Row
from tests.waiting import eventually

MIB = 1 << 20
SIZE = 40 * MIB


class SmallDisk:
    """A disk that only the commands of its place see; here it is reached through one of their processes.

    Attributes:
        path: where it is for us.
        place: of which the base is on the disk, as its commands see it.
    """

    def __init__(self, keeper: int, mounted: Path) -> None:
        self.path = Path(f"/proc/{keeper}/root{mounted}")
        enter = ("nsenter", f"--target={keeper}", "--user", "--mount", "--preserve-credentials")
        self.place = Place(mounted, (*enter, f"--wd={mounted}"), beside=keeper)
        self._ballast = self.path / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all the room there is, but for so many bytes."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(MIB))
            except OSError as error:
                assert error.errno == errno.ENOSPC
            if leave:
                file.truncate(file.tell() - leave)

    def make_room(self) -> None:
        self._ballast.unlink()

    def drop(self, name: str, *lines: str) -> None:
        """Put a task file into the folder."""
        draft = self.path / f"{name}.draft"
        draft.write_text("\n".join([*lines, ""]))
        draft.rename(self.path / "queue" / f"{name}.yaml")

    def becomes(self, name: str, state: str) -> Row:
        """Wait until the only run of that name is in this state; returns it."""

        def there() -> Row | None:
            row = self.place.rows().get(name)
            return row if row and row["state"] == state else None

        row = eventually(there)
        assert row is not None
        return row


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk, for as long as the test goes on."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("there is no unshare and nsenter to mount a small disk with")
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = f"mount -t tmpfs -o size={SIZE},mode=755 none {mounted} && echo ready && exec sleep 1000"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    with subprocess.Popen(unshare, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as keeper:
        try:
            assert keeper.stdout is not None
            if keeper.stdout.readline() != "ready\n":
                pytest.skip("this user may not mount a small disk")
            disk = SmallDisk(keeper.pid, mounted)
            try:
                yield disk
            finally:
                disk.place.close()
        finally:
            keeper.kill()


def test_on_a_full_disk_nothing_starts_nothing_is_lost_and_it_goes_on_when_there_is_room(
    disk: SmallDisk, tmp_path: Path
) -> None:
    place, queue = disk.place, disk.path / "queue"
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    server = place.serve()
    # On a full disk they could not be written, but they can be moved.
    drafts = [disk.path / f"t{number}.yaml" for number in range(5)]
    for draft in drafts:
        draft.write_text(f"command: echo {draft.stem} >>{ledger}\n")
    (queue / "long.yaml").write_text(f"command: until [ -e {go} ]; do sleep 0.02; done; exit 3\n")
    server.says("started")
    disk.fill()
    for draft in drafts:
        draft.rename(queue / draft.name)
    server.says("the disk is full")
    go.touch()
    eventually(lambda: not place.processes_of_runs())
    assert server.process.poll() is None
    assert not ledger.exists()
    disk.make_room()
    server.says("there is room again")
    server.says("succeeded", times=5)
    rows = place.rows()
    assert (rows["long"]["state"], rows["long"]["exit_code"], rows["long"]["attempt"]) == ("failed", 3, 1)
    assert [rows[f"t{number}"]["state"] for number in range(5)] == ["succeeded"] * 5
    assert sorted(ledger.read_text().split()) == [draft.stem for draft in drafts]
    assert not list(queue.glob("*.yaml"))
    assert server.text.count("the disk is full") == 1


def test_where_too_little_room_is_left_for_logs_runs_are_accepted_but_not_started(disk: SmallDisk) -> None:
    disk.fill(leave=4 * MIB)
    server = disk.place.serve()
    (disk.path / "queue" / "patient.yaml").write_text("command: 'true'\n")
    server.says("accepted")
    server.says("nothing is started until there is room")
    assert disk.place.rows()["patient"]["state"] == "queued"
    disk.make_room()
    server.says("succeeded")
    assert server.text.count("the disk is full") == 1


def test_a_server_killed_on_a_full_disk_leaves_nothing_behind_that_the_next_cannot_take_up(
    disk: SmallDisk, tmp_path: Path
) -> None:
    place, queue, ledger = disk.place, disk.path / "queue", tmp_path / "ledger"
    server = place.serve()
    (disk.path / "one.yaml").write_text(f"command: echo one >>{ledger}\n")
    disk.fill()
    (disk.path / "one.yaml").rename(queue / "one.yaml")
    server.says("the disk is full")
    server.kill()
    assert not ledger.exists()
    disk.make_room()
    place.drain()
    assert place.rows()["one"]["state"] == "succeeded"
    assert ledger.read_text() == "one\n"


def test_where_there_is_no_room_for_a_database_the_message_says_what_to_do(disk: SmallDisk) -> None:
    disk.fill()
    for command in (("init",), ("serve",)):
        complaint = disk.place.refuse(*command, code=1)
        assert "full" in complaint
        assert "free some space" in complaint
    disk.make_room()
    disk.place.drain()


def test_a_bad_file_is_rejected_once_there_is_room_to_say_why(disk: SmallDisk) -> None:
    place, queue = disk.place, disk.path / "queue"
    server = place.serve()
    (disk.path / "bad.yaml").write_text("comand: 'true'\n")
    disk.fill()
    (disk.path / "bad.yaml").rename(queue / "bad.yaml")
    server.says("cannot be moved away: No space left on device")
    assert (queue / "bad.yaml").exists()
    disk.make_room()
    server.says("rejected bad.yaml")
    assert "did you mean" in (queue / "rejected" / "bad.yaml.error").read_text()


# Orders and reasons while it is full


def fill_by_a_run(disk: SmallDisk, *lines: str) -> None:
    """Have a run fill the disk, and go on."""
    disk.drop("filler", "command: cat /dev/zero >>big; exec sleep 1000", *lines)
    eventually(lambda: is_full(disk))


def is_full(disk: SmallDisk) -> bool:
    return os.statvfs(disk.path).f_bavail == 0


def test_the_run_that_fills_the_disk_is_cancelled_all_the_same(disk: SmallDisk) -> None:
    place = disk.place
    place.init()
    server = place.serve("-j", "2")
    place.add("touch started", "-n", "later", "--hold")
    fill_by_a_run(disk, "retries: 2")
    done = place.ask("cancel", "1", "2")
    assert (done.returncode, done.stdout) == (0, "")
    assert "the disk is full: runs 1 later, 2 filler are stopped anyway" in done.stderr
    eventually(lambda: not place.processes_of_runs())
    (disk.path / "big").unlink()
    for name in ("later", "filler"):
        row = disk.becomes(name, "aborted")
        assert row["reason"] == "cancelled"
    assert place.rows()["filler"]["attempt"] == 1
    assert (disk.path / "queue/.aqueue/orders").read_bytes() == bytes(1 << 16)
    assert server.process.poll() is None


def test_stop_kill_ends_servers_and_what_they_run_though_the_disk_is_full(disk: SmallDisk) -> None:
    place = disk.place
    server = place.serve()
    fill_by_a_run(disk, "retries: 2")
    assert place.ask("stop", "--kill").returncode == 0
    assert server.ends() == 0
    assert not place.processes_of_runs()
    (disk.path / "big").unlink()
    place.drain()
    row = place.rows()["filler"]
    assert (row["state"], row["reason"], row["attempt"]) == ("aborted", "stopped with the server", 1)


def test_on_a_full_disk_a_server_that_is_told_to_leave_leaves_the_true_exit_code_to_the_next(
    disk: SmallDisk, tmp_path: Path
) -> None:
    place, go = disk.place, tmp_path / "go"
    server = place.serve()
    disk.drop("long", f"command: until [ -e {go} ]; do sleep 0.02; done; exit 3")
    server.says("started")
    disk.fill()
    stop = place.start("stop", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    server.says("asked to stop")
    go.touch()
    said, _ = stop.communicate(timeout=20.0)
    assert stop.returncode == 0, said
    assert server.ends() == 0
    disk.make_room()
    assert " failed 1 long" in place.drain()
    row = place.rows()["long"]
    assert (row["state"], row["exit_code"], row["attempt"]) == ("failed", 3, 1)


def test_a_run_whose_server_was_killed_is_cancelled_on_a_full_disk_by_the_command_itself(disk: SmallDisk) -> None:
    place = disk.place
    server = place.serve()
    fill_by_a_run(disk)
    server.kill()
    done = place.ask("cancel", "filler")
    assert done.returncode == 0, done.stderr
    eventually(lambda: not place.processes_of_runs())
    (disk.path / "big").unlink()
    place.drain()
    row = place.rows()["filler"]
    assert (row["state"], row["reason"], row["attempt"]) == ("aborted", "cancelled", 1)


def test_ls_and_status_say_that_the_disk_is_full_as_long_as_it_is(disk: SmallDisk) -> None:
    place = disk.place
    place.serve()
    place.add("true", "-n", "waits", "--hold")
    disk.fill(leave=4 * MIB)
    place.run("release", "waits")
    why = "nothing is started: the disk is full (there are "
    eventually(lambda: str(place.rows()["waits"]["waiting_for"]).startswith(why))
    with (disk.path / "more").open("wb") as more, contextlib.suppress(OSError):
        more.write(bytes(4 * MIB))
    assert is_full(disk)
    assert "the disk is full" in str(place.rows()["waits"]["waiting_for"])
    assert "starts nothing: the disk is full" in place.run("status")
    disk.make_room()
    disk.becomes("waits", "succeeded")
    assert "starts nothing" not in place.run("status")
