"""Servers that are up, as the kernel knows it, not as they say."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import ServerLock, forget, is_up, shortage_of
from aqueue.processes import is_alive

_SERVER = """\
import sys, time
from pathlib import Path
from aqueue.executors.local import process
from aqueue.folder.server_locks import ServerLock
presence = ServerLock.announce(Path(sys.argv[1]))
run = process.spawn(process.Launch(sys.argv[2], "/", ["sleep", "300"], {"PATH": "/usr/bin:/bin"}))
print(presence.id, run.pid, flush=True)
if sys.stdin.read() == "release":
    presence.release()
"""


class Server:
    """Another process that serves, with a run of its own."""

    def __init__(self, folder: Folder) -> None:
        folder.make_run_dir(1)
        command = [sys.executable, "-c", _SERVER, str(folder.servers), folder.attempt(1, 1)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.id, run = self.process.stdout.readline().split()
        self.run = int(run)


@pytest.fixture
def server(folder: Folder) -> Iterator[Server]:
    server = Server(folder)
    with server.process as process:
        yield server
        process.kill()
    os.killpg(server.run, signal.SIGKILL)


def test_a_living_server_is_up(folder: Folder, server: Server) -> None:
    assert is_up(folder.servers, server.id)
    assert is_up(folder.servers, server.id)


def test_a_stopped_server_is_up(folder: Folder, server: Server) -> None:
    server.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
    assert is_up(folder.servers, server.id)


def test_a_killed_server_is_not_up_even_though_its_runs_live_on(folder: Folder, server: Server) -> None:
    server.process.kill()
    server.process.wait()
    assert is_alive(server.run)
    assert not is_up(folder.servers, server.id)


def test_a_server_that_released_its_sign_is_not_up(folder: Folder, server: Server) -> None:
    server.process.communicate("release")
    assert not is_up(folder.servers, server.id)
    assert list(folder.servers.iterdir()) == []


def test_a_server_is_up_for_itself_too(folder: Folder) -> None:
    presence = ServerLock.announce(folder.servers)
    assert is_up(folder.servers, presence.id)
    presence.release()
    assert not is_up(folder.servers, presence.id)


def test_servers_have_different_ids(folder: Folder) -> None:
    presences = [ServerLock.announce(folder.servers) for _ in range(3)]
    assert len({presence.id for presence in presences}) == 3
    for presence in presences:
        presence.release()


def test_an_unknown_server_is_not_up_and_can_be_forgotten(tmp_path: Path) -> None:
    assert not is_up(tmp_path, "nobody")
    forget(tmp_path, "nobody")


def test_asking_does_not_make_others_believe_that_a_dead_server_is_up(folder: Folder, server: Server) -> None:
    server.process.kill()
    server.process.wait()
    asker = os.open(folder.servers / server.id, os.O_RDONLY)
    try:
        fcntl.flock(asker, fcntl.LOCK_SH)
        assert not is_up(folder.servers, server.id)
    finally:
        os.close(asker)


def test_a_server_tells_in_its_file_what_is_in_its_way_and_needs_no_more_room_for_that(folder: Folder) -> None:
    presence = ServerLock.announce(folder.servers)
    path = folder.servers / presence.id
    size = path.stat().st_size
    for why in ("the disk is full", "", "é" * 1000):
        presence.publish_shortage(why)
        assert why.startswith(shortage_of(folder.servers, presence.id).rstrip("\N{REPLACEMENT CHARACTER}"))
        assert path.stat().st_size == size
    presence.release()
    assert shortage_of(folder.servers, presence.id) == ""
