"""Servers of one folder that come up, fall asleep, wake, are told to stop and are killed."""

import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from aqueue.model.server import Server as Record
from tests.acceptance.driving import Place, Server
from tests.acceptance.witness import Witness
from tests.waiting import eventually

STALE_AFTER = 0.5
_MOST = 3
_LONG = 1.5 * STALE_AFTER


class Company:
    """Accidents of servers; each returns True if it was possible.

    Attributes:
        random: chooses to whom.
        up: those that start runs, if they are awake.
        leaving: those that were told to stop.
        asleep: those that are stopped, each with since when.
    """

    random: random.Random

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(Path(tempfile.mkdtemp()))
        self.witness = Witness(self.place, {"a": 1, "b": 2, "c": 3})
        self.up: list[Server] = []
        self.leaving: list[Server] = []
        self.asleep: dict[Server, float] = {}
        self.stops: list[subprocess.Popen[bytes]] = []

    @property
    def servers(self) -> list[Server]:
        return self.up + self.leaving

    def records(self) -> list[Record]:
        """Return the stored rows of the servers that live."""
        pids = {server.process.pid for server in self.servers if server.process.poll() is None}
        return [record for record in self.witness.read_servers() if record.pid in pids]

    def a_server_comes_up(self) -> bool:
        if len(self.servers) == _MOST:
            return False
        self.up.append(self.place.serve())
        return True

    def servers_are_told_to_stop(self) -> bool:
        if not self.up:
            return False
        self.stops.append(self.place.start("stop", "-q"))
        eventually(lambda: all(record.leaving for record in self.records()))
        self.up, self.leaving = [], self.servers
        return True

    def a_server_is_killed(self) -> bool:
        if not self.servers:
            return False
        server = self.random.choice(self.servers)
        server.kill()
        self.asleep.pop(server, None)
        self.up = [other for other in self.up if other is not server]
        self.leaving = [other for other in self.leaving if other is not server]
        return True

    def a_server_falls_asleep(self) -> bool:
        awake = [server for server in self.up if server not in self.asleep]
        if not awake:
            return False
        server = self.random.choice(awake)
        server.signal(signal.SIGSTOP)
        self.asleep[server] = time.monotonic()
        eventually(lambda: is_stopped(server.process.pid))
        if self.witness.is_store_locked():
            # In the middle of a transaction: until it wakes, nobody else can do anything.
            self.wake(server)
        return True

    def a_server_wakes(self) -> bool:
        if not self.asleep:
            return False
        self.wake(self.random.choice([*self.asleep]))
        return True

    def wake(self, server: Server) -> None:
        time.sleep(max(0.0, self.asleep.pop(server) + _LONG - time.monotonic()))
        server.signal(signal.SIGCONT)


def is_stopped(pid: int) -> bool:
    """Return True if all threads of a process are."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(") ")[2][0] for stat in stats} == {"T"}
