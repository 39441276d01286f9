"""How fast aqueue is on this machine: `python -m tests.benchmarks` prints a table.

Machines differ and are noisy, so each figure stands beside what bare processes, or task-spooler where it is
installed, do in the same run. Nothing passes or fails here.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

AQUEUE = [sys.executable, "-m", "aqueue"]
DEADLINE = 300.0


class Bench:
    """A folder with a server, and the table that the figures go into."""

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

    @contextlib.contextmanager
    def serving(self, *options: str) -> Iterator["Folder"]:
        """A server on a folder of its own; it is told to leave at once in the end."""
        self.fresh += 1
        folder = Folder(self.root / f"folder-{self.fresh}")
        with (self.root / "server.log").open("a") as log:
            server = subprocess.Popen([*AQUEUE, "serve", str(folder.path), *options], stdout=log, stderr=log)
        try:
            until(lambda: folder.database.exists() and folder.count("servers") == 1)
            folder.server = server.pid
            yield folder
        finally:
            for _ in range(3):
                server.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            server.wait(30)


class Folder:
    """A folder that is being served, seen from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / ".aqueue" / "state.db"
        self.staging = path.with_name(path.name + "-staging")
        self.staging.mkdir()
        self.server = 0

    def query(self, sql: str) -> list[tuple[float, ...]]:
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def count(self, table: str, where: str = "1") -> int:
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


def until(condition: Callable[[], bool], pause: float = 0.02) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


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


def drop_to_start(bench: Bench, folder: Folder, pause: float, times: int, extra: str = "") -> tuple[float, float]:
    """Median seconds from the drop to the first instruction, and of a bare spawn to it."""
    bell = Bell(bench.root)
    ours, bare = [], []
    for number in range(times):
        staged = folder.stage(f"hot{number}-{time.monotonic_ns()}", f"command: {bell.command}\n{extra}")
        time.sleep(pause)
        began = time.perf_counter()
        folder.drop(staged)
        ours.append(bell.wait() - began)
        time.sleep(0.02)
        began = time.perf_counter()
        process = subprocess.Popen(["/bin/sh", "-c", bell.command])
        bare.append(bell.wait() - began)
        process.wait()
    return statistics.median(ours), statistics.median(bare)


def bare_rate(count: int = 1000) -> float:
    """`true` runs in a second, two at a time, by a loop that does nothing else."""
    began = time.perf_counter()
    running: list[subprocess.Popen[bytes]] = []
    for _ in range(count):
        running.append(subprocess.Popen(["true"]))
        if len(running) == 2:
            running.pop(0).wait()
    for process in running:
        process.wait()
    return count / (time.perf_counter() - began)


def spooler_rate(bench: Bench, count: int = 500) -> float | None:
    if not shutil.which("tsp"):
        return None
    # Not removed before the end: ext4 is many times slower to make files for minutes after others were removed.
    directory = tempfile.mkdtemp(dir=bench.root)
    environment = os.environ | {"TS_SOCKET": f"{directory}/socket", "TMPDIR": directory, "TS_MAXFINISHED": "2000"}

    def spool(*arguments: str) -> None:
        subprocess.run(["tsp", *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)

    spool("-S", "2")
    began = time.perf_counter()
    for _ in range(count):
        spool("-n", "true")
    spool("-w")
    rate = count / (time.perf_counter() - began)
    spool("-K")
    return rate


def latency(bench: Bench, times: int) -> None:
    for what, pause, aim in (("idle for a second", 1.05, "12 ms"), ("in a hot loop", 0.02, "4 ms")):
        with bench.serving() as folder:
            time.sleep(4 if pause > 1 else 0)
            ours, bare = drop_to_start(bench, folder, pause, times if pause < 1 else max(times // 3, 10))
            bench.row(
                f"drop to start, {what}",
                ms(ours - bare),
                f"a bare sh -c takes {ms(bare)} more",
                f"at most {aim}",
            )


def throughput(bench: Bench, repeat: int) -> None:
    rates, bare, spooler = [], [], []
    for _ in range(repeat):
        bare.append(bare_rate())
        rates.append(rate_of_true(bench, 1000))
        spooler.append(spooler_rate(bench))
    ratios = [ours / theirs for ours, theirs in zip(rates, bare, strict=True)]
    beside = f"bare loop {statistics.median(bare):.0f}/s"
    known = [rate for rate in spooler if rate]
    if known:
        beside += f", tsp {statistics.median(known):.0f}/s"
    bench.row(
        "1,000 `true` dropped at once, -j 2",
        f"{statistics.median(rates):.0f}/s, {statistics.median(ratios):.2f} of a bare loop",
        beside,
        "at least 0.30",
    )


def rate_of_true(bench: Bench, count: int) -> float:
    with bench.serving("-j", "2", "-q") as folder:
        time.sleep(1)
        began = folder.drop_many("true", count, "command: 'true'\n")
        return finish_rate(folder, "name LIKE 'true%'", count, began)


def finish_rate(folder: Folder, which: str, count: int, began: float) -> float:
    until(lambda: folder.count("runs", f"{which} AND state = 'succeeded'") == count, 0.1)
    return count / (folder.query(f"SELECT max(finished_at) FROM runs WHERE {which}")[0][0] - began)


def crowd(bench: Bench, count: int) -> None:
    # One run keeps the queue of the many busy; there are two more jobs for whatever else comes.
    with bench.serving("-j", "3", "-q") as folder:
        empty = drop_to_start(bench, folder, 0.05, 30, "priority: high\n")
        began = folder.drop_many("few", 500, "command: 'true'\n")
        empty_rate = finish_rate(folder, "name LIKE 'few%'", 500, began)
        folder.drop(folder.stage("blocker", "command: sleep 1000\nqueue: crowd\n"))
        until(lambda: folder.count("runs", "state = 'running'") == 1)
        began = folder.drop_many("many", count, "command: 'true'\nqueue: crowd\n")
        until(lambda: folder.count("runs", "name LIKE 'many%'") == count, 0.1)
        seconds = folder.query("SELECT max(created_at) FROM runs WHERE name LIKE 'many%'")[0][0] - began
        bench.row(f"{count:,} files dropped at once", f"accepted {count / seconds:.0f}/s", "", "at least 2,000/s")
        until(lambda: not list((folder.path / ".aqueue" / "incoming").iterdir()), 0.2)
        bench.row(f"memory with {count:,} waiting", f"{resident(folder.server):.0f} MB", "", "under 100 MB")
        full = drop_to_start(bench, folder, 0.05, 30, "priority: high\n")
        began = folder.drop_many("more", 500, "command: 'true'\n")
        full_rate = finish_rate(folder, "name LIKE 'more%'", 500, began)
        slower = (full[0] - full[1]) / (empty[0] - empty[1])
        bench.row(
            f"drop to start of a `high` run, {count:,} waiting",
            ms(full[0] - full[1]),
            f"{slower:.2f} times that of an empty queue ({ms(empty[0] - empty[1])})",
            "within 1.5 times",
        )
        bench.row(
            f"`true` runs, {count:,} waiting",
            f"{full_rate:.0f}/s",
            f"{empty_rate / full_rate:.2f} times slower than with an empty queue ({empty_rate:.0f}/s)",
            "within 1.5 times",
        )


def idle(bench: Bench, seconds: float) -> None:
    with bench.serving() as folder:
        time.sleep(6)
        before = cpu_seconds(folder.server)
        time.sleep(seconds)
        share = (cpu_seconds(folder.server) - before) / seconds
        bench.row("idle server, processor", f"{share:.2%} of a core", f"over {seconds:.0f} s", "at most 0.5 %")
        bench.row("idle server, memory", f"{resident(folder.server):.0f} MB", "", "at most 45 MB")


def commands(bench: Bench, times: int) -> None:
    script = [shutil.which("aqueue") or "aqueue"]
    with bench.serving() as folder:
        python = wall([sys.executable, "-c", "pass"], times)
        for what, arguments, aim in (
            ("aqueue --help", ["--help"], "under 100 ms"),
            ("aqueue add", ["add", "--dir", str(folder.path), "--", "true"], "under 150 ms"),
        ):
            bench.row(what, ms(wall(script + arguments, times)), f"python -c pass: {ms(python)}", aim)


def wall(command: list[str], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Megabytes that the process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sections = ["latency", "throughput", "crowd", "idle", "commands"]
    parser.add_argument("section", nargs="*", help=f"of {', '.join(sections)}; default: all")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of the throughput figure")
    arguments = parser.parse_args()
    chosen = arguments.section or sections
    with tempfile.TemporaryDirectory(prefix="aqueue-benchmark-") as directory:
        bench = Bench(Path(directory))
        if "latency" in chosen:
            latency(bench, 100)
        if "throughput" in chosen:
            throughput(bench, arguments.repeat)
        if "crowd" in chosen:
            crowd(bench, 10_000)
        if "idle" in chosen:
            idle(bench, 20)
        if "commands" in chosen:
            commands(bench, 15)
        Console(width=None if sys.stdout.isatty() else 140).print(bench.table())


if __name__ == "__main__":
    main()
