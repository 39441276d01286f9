"""Servers in the background: started, looked at, put to sleep, and gone when a test is over."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.driving import Place, Row


class Background(NamedTuple):
    """A server that `aqueue start` has started."""

    pid: int
    log: Path

    @property
    def is_gone(self) -> bool:
        return is_gone(self.pid)


def start(place: Place, *options: str) -> Background:
    """Start a server where none is up."""
    found = re.fullmatch(r"server (\d+) is up; it [^;]+; its log is (\S+)\n", place.run("start", *options))
    assert found
    return Background(int(found[1]), place.base / found[2])


def begin_stop(place: Place, *options: str) -> "subprocess.Popen[str]":
    """Begin to stop all servers; what it says is together in its output."""
    return place.start("stop", *options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end_of(stop: "subprocess.Popen[str]") -> list[str]:
    """Wait for the end of a `stop`, which must be a good one; returns the lines it has printed."""
    said, _ = stop.communicate(timeout=10.0)
    assert stop.returncode == 0, said
    return said.splitlines()


def servers(place: Place) -> list[Row]:
    found: list[Row] = json.loads(place.run("status", "--json"))["servers"]
    return found


def is_gone(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    return True


def fall_asleep(place: Place, pid: int) -> None:
    """As SIGSTOP, but not in the middle of a transaction: there, everybody else has to wait for it."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        database = sqlite3.connect(place.state / "state.db", timeout=0, isolation_level=None)
        with contextlib.closing(database), contextlib.suppress(sqlite3.OperationalError):
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
            return
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def asleep(place: Place, pid: int) -> Iterator[None]:
    """Have a server stand still meanwhile."""
    fall_asleep(place, pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def end_all(place: Place) -> None:
    """End all servers of the folder, whatever a test has done to it."""
    if place.state.is_dir():
        place.drop("aqueue.yaml", "grace: 0.1s\n")
        place.run("stop", "--kill")
