"""From a dropped file to a run: how soon, how many in a second, and what a crowd that waits changes."""

import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time

from tests.benchmarks.bench import Bell, Bench, Folder, finish_rate, ms, resident, until


def latency(bench: Bench) -> None:
    for what, pause, times, aim in (
        ("idle for a second", 1.05, 33, "at most 12 ms"),
        # Longer than the watch expects another change soon.
        ("idle for 4 seconds", 4.1, 15, ""),
        ("in a hot loop", 0.02, 100, "at most 4 ms"),
    ):
        with bench.serving() as folder:
            time.sleep(4 if pause > 1 else 0)
            ours, bare = drop_to_start(bench, folder, pause, times)
            bench.row(
                f"drop to start, {what}",
                ms(ours - bare),
                f"a bare sh -c takes {ms(bare)} more",
                aim,
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


def drop_to_start(bench: Bench, folder: Folder, pause: float, times: int, extra: str = "") -> tuple[float, float]:
    """Median seconds from the drop to the first instruction, and of a bare spawn to it."""
    bell = Bell(bench.root)
    ours, bare = [], []
    for number in range(times):
        staged = folder.stage(f"hot{number}-{time.monotonic_ns()}", f"command: {bell.command}\n{extra}")
        # Not in step with whoever looks once in a while.
        time.sleep(pause * random.uniform(0.98, 1.02))
        began = time.perf_counter()
        folder.drop(staged)
        ours.append(bell.wait() - began)
        time.sleep(0.02)
        began = time.perf_counter()
        process = subprocess.Popen(["/bin/sh", "-c", bell.command])
        bare.append(bell.wait() - began)
        process.wait()
    return statistics.median(ours), statistics.median(bare)


def rate_of_true(bench: Bench, count: int) -> float:
    with bench.serving("-j", "2", "-q") as folder:
        time.sleep(1)
        began = folder.drop_many("true", count, "command: 'true'\n")
        return finish_rate(folder, "name LIKE 'true%'", count, began)


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
