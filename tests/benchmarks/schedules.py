"""The punctuality and cost of schedules, and the time until missed runs are queued."""

import contextlib
import sqlite3
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.bench import Bench, cpu_seconds, ms, until


def punctuality(bench: Bench, times: int) -> None:
    """Each of many schedules is due once, a tenth of a second after the one before it."""
    with bench.serving("-j", "2") as folder:
        first = time.time() + 2 + times / 100
        dues = [first + number / 10 for number in range(times)]
        outputs = [bench.root / f"due-{number}" for number in range(times)]
        for number, (due, output) in enumerate(zip(dues, outputs, strict=True)):
            at = datetime.fromtimestamp(due, UTC).isoformat()
            folder.drop(folder.stage(f"due{number}", f'at: "{at}"\ncommand: date +%s.%N > {output}.new\n'))
        until(lambda: folder.count("runs", "state = 'succeeded'") == times)
        late = [float(Path(f"{output}.new").read_text()) - due for due, output in zip(dues, outputs, strict=True)]
    what = f"due time to the command's own `date`, {times} times"
    bench.row(what, f"median {ms(statistics.median(late))}, at most {ms(max(late))}", "", "at most 50 ms")


def many(bench: Bench, count: int, seconds: float) -> None:
    """The same server with and without schedules, at the same time; there is a full look in each minute."""
    with bench.serving() as empty, bench.serving() as full:
        for number in range(count):
            full.drop(full.stage(f"daily{number}", f'schedule: "{number % 60} 0 1 1 *"\ncommand: "true"\n'))
        until(lambda: full.count("schedules") == count)
        time.sleep(6)
        before = [cpu_seconds(folder.server) for folder in (empty, full)]
        time.sleep(seconds)
        after = [cpu_seconds(folder.server) for folder in (empty, full)]
    without, with_ = ((late - early) / seconds for early, late in zip(before, after, strict=True))
    what = f"idle server with {count:,} schedules, processor"
    bench.row(what, f"{with_:.2%} of a core", f"without: {without:.2%}", "at most 0.2 % more")


def catchup(bench: Bench, schedules: int, missed: int) -> None:
    """A server comes up after it has missed many due times of some schedules."""
    folder = bench.folder()
    folder.configure("queues: {config: [{name: later, paused: true}]}\n")
    for number in range(schedules):
        text = f'schedule: "* * * * *"\ncatchup_window: {missed}m\nqueue: later\ncommand: "true"\n'
        folder.drop(folder.stage(f"missed{number}", text))
    with bench.server(folder):
        until(lambda: folder.count("schedules") == schedules)
    with contextlib.closing(sqlite3.connect(folder.database)) as connection, connection:
        # As if it had been down for longer than all of them remember.
        connection.execute("UPDATE schedules SET handled_until = handled_until - ?", (60 * (missed + 10),))
        connection.execute("UPDATE schedules SET next_due = handled_until + 1, counts_from = handled_until")
    began = time.perf_counter()
    with bench.server(folder):
        until(lambda: folder.count("runs", "trigger = 'catchup'") >= schedules * (missed - 2), 0.01)
        taken = time.perf_counter() - began
    count = folder.count("runs", "trigger = 'catchup'")
    bench.row(f"start of a server until {count:,} missed runs are queued", f"{taken:.1f} s", "", "under 5 s")


def schedules(bench: Bench) -> None:
    """All of it."""
    punctuality(bench, times=100)
    catchup(bench, schedules=10, missed=1000)
    many(bench, count=1000, seconds=65)
