"""Tools for all benchmarks: folders with servers, waiting, clocks, and the table of figures."""

import contextlib
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

import aqueue.folder.layout
from aqueue.model.run import Trigger
from aqueue.model.task import Task
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store

AQUEUE = [sys.executable, "-m", "aqueue"]
SCRIPT = str(Path(sysconfig.get_path("scripts"), "aqueue"))
"""The command that a person types, in the environment of this Python."""

DEADLINE = 300.0


class Bench:
    """Folders with servers, and the table that the figures go into."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fresh = 0
        self.rows: list[tuple[str, str, str, str]] = []

    def row(self, what: str, figure: str, beside: str = "", aim: str = "") -> None:
        self.rows.append((what, figure, beside, aim))
        print(f"  {what}: {figure}  {beside}", file=sys.stderr)

    def table(self) -> Table:
        table = Table(title=f"aqueue, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
        for heading in ("what", "aqueue", "beside it, in the same run", "aim"):
            table.add_column(heading)
        for row in self.rows:
            table.add_row(*row)
        return table

    def folder(self) -> "Folder":
        self.fresh += 1
        return Folder(self.root / f"folder-{self.fresh}")

    @contextlib.contextmanager
    def server(self, folder: "Folder", *options: str) -> Iterator[None]:
        """A server of a folder; it is told to leave at once in the end."""
        others = folder.count("servers")
        with (self.root / "server.log").open("a") as log:
            server = subprocess.Popen([*AQUEUE, "serve", str(folder.path), *options], stdout=log, stderr=log)
        try:
            until(lambda: folder.database.exists() and folder.count("servers") == others + 1)
            folder.server = server.pid
            yield
        finally:
            for _ in range(3):
                server.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            server.wait(30)

    @contextlib.contextmanager
    def serving(self, *options: str) -> Iterator["Folder"]:
        """A server on a folder of its own."""
        folder = self.folder()
        with self.server(folder, *options):
            yield folder


class Folder:
    """A folder that is being served, seen from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / ".aqueue" / "state.db"
        self.staging = path.with_name(path.name + "-staging")
        self.staging.mkdir()
        # As `aqueue init` does: a server makes no folder that is named.
        aqueue.folder.layout.Folder(path).create()
        self.server = 0

    def configure(self, text: str) -> None:
        (self.path / "aqueue.yaml").write_text(text)

    def put(self, tasks: Iterable[Task]) -> None:
        """Queue tasks in one transaction, as a command does."""
        folder = aqueue.folder.layout.Folder(self.path)
        with contextlib.closing(connect(folder)) as connection, transaction(connection, folder):
            store = Store(connection)
            for task in tasks:
                store.submissions.add(task, time.time(), trigger=Trigger.MANUAL)
        folder.ring()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def count(self, table: str, where: str = "1") -> int:
        if not self.database.exists():
            return 0
        try:
            return int(self.query(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])
        except sqlite3.OperationalError:
            return 0

    def stage(self, name: str, text: str) -> Path:
        path = self.staging / f"{name}.yaml"
        path.write_text(text)
        return path

    def drop(self, staged: Path) -> None:
        os.rename(staged, self.path / staged.name)

    def drop_many(self, prefix: str, count: int, text: str) -> float:
        """Drop files all at once; returns when that began, by the wall clock."""
        staged = [self.stage(f"{prefix}{number:05}", text) for number in range(count)]
        began = time.time()
        for path in staged:
            self.drop(path)
        return began


class Bell:
    """A FIFO that a command writes to as its first instruction."""

    def __init__(self, root: Path) -> None:
        path = root / f"bell-{time.monotonic_ns()}"
        os.mkfifo(path)
        self.command = f"echo >{path}"
        self._descriptor = os.open(path, os.O_RDWR)

    def wait(self) -> float:
        os.read(self._descriptor, 1)
        return time.perf_counter()


def until(condition: Callable[[], bool], pause: float = 0.02) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def wall(command: list[str], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def finish_rate(folder: Folder, which: str, count: int, began: float) -> float:
    until(lambda: folder.count("runs", f"{which} AND state = 'succeeded'") == count, 0.1)
    ended = float(folder.query(f"SELECT max(finished_at) FROM runs WHERE {which}")[0][0])
    return count / (ended - began)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Megabytes that the process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak(pid: int) -> float:
    """The most megabytes that the process had in memory so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
