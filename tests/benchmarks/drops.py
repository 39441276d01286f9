"""From a dropped file to a run: how soon, how many in a second, and what a crowd that waits changes."""

import contextlib
import random
import statistics
import time

from aqueue.model.task import Task
from tests.benchmarks import peers
from tests.benchmarks.bench import Bell, Bench, Folder, finish_rate, ms, peak, resident, until


def latency(bench: Bench) -> None:
    for what, pause, times, aim in (
        ("in a hot loop", 0.02, 100, "at most 1.1 of tsp's"),
        ("after a second", 1.05, 20, "at most 1.1 of tsp's"),
        ("after 4 seconds", 4.1, 10, "at most 1.1 of tsp's"),
    ):
        with bench.serving() as folder:
            time.sleep(4 if pause > 1 else 0)
            taken = drop_to_start(bench, folder, pause, times)
        ours = taken.pop("aqueue")
        beside = ", ".join(f"{name} {ms(theirs)} ({ours / theirs:.2f})" for name, theirs in taken.items())
        bench.row(f"drop to start, {what}", ms(ours), f"{beside}; in brackets aqueue's share of it", aim)


def throughput(bench: Bench, repeat: int) -> None:
    """Rates of `true`, dropped and queued, and of others in the same rounds."""
    found: dict[str, list[float]] = {}
    for _ in range(repeat):
        for name, rate in (
            ("dropped", rate_of_true(bench, 1000)),
            ("queued", rate_of_queued(bench, 1000)),
            *peers.rates(bench),
        ):
            found.setdefault(name, []).append(rate)
    bare = found["bare loop"]
    beside = ", ".join(
        f"{name} {statistics.median(rates):.0f}/s"
        for name, rates in found.items()
        if name not in ("dropped", "queued")
    )
    for how, aim in (("dropped", "at least 0.40"), ("queued", "at least 0.45")):
        share = statistics.median(ours / theirs for ours, theirs in zip(found[how], bare, strict=True))
        figure = f"{statistics.median(found[how]):.0f}/s, {share:.2f} of a bare loop"
        bench.row(f"1,000 `true` {how} at once, -j 2", figure, beside, aim)


def crowd(bench: Bench, count: int) -> None:
    # One run keeps the queue of the many busy; there are two more jobs for whatever else comes.
    with bench.serving("-j", "3", "-q") as folder:
        empty = drop_to_start(bench, folder, 0.05, 30, "priority: high\n", with_peers=False)["aqueue"]
        began = folder.drop_many("few", 500, "command: 'true'\n")
        empty_rate = finish_rate(folder, "name LIKE 'few%'", 500, began)
        folder.drop(folder.stage("blocker", "command: sleep 1000\nqueue: crowd\n"))
        until(lambda: folder.count("runs", "state = 'running'") == 1)
        began = folder.drop_many("many", count, "command: 'true'\nqueue: crowd\n")
        until(lambda: folder.count("runs", "name LIKE 'many%'") == count, 0.1)
        seconds = folder.query("SELECT max(created_at) FROM runs WHERE name LIKE 'many%'")[0][0] - began
        bench.row(f"{count:,} files dropped at once", f"accepted {count / seconds:.0f}/s", "", "at least 2,000/s")
        bench.row(f"memory with {count:,} waiting", f"{resident(folder.server):.0f} MB", "", "under 65 MB")
        bench.row("memory while they were accepted, at most", f"{peak(folder.server):.0f} MB", "", "under 65 MB")
        full = drop_to_start(bench, folder, 0.05, 30, "priority: high\n", with_peers=False)["aqueue"]
        began = folder.drop_many("more", 500, "command: 'true'\n")
        full_rate = finish_rate(folder, "name LIKE 'more%'", 500, began)
        slower = full / empty
        bench.row(
            f"drop to start of a `high` run, {count:,} waiting",
            ms(full),
            f"{slower:.2f} times that of an empty queue ({ms(empty)})",
            "within 1.5 times",
        )
        bench.row(
            f"`true` runs, {count:,} waiting",
            f"{full_rate:.0f}/s",
            f"{empty_rate / full_rate:.2f} times slower than with an empty queue ({empty_rate:.0f}/s)",
            "within 1.5 times",
        )


def drop_to_start(
    bench: Bench, folder: Folder, pause: float, times: int, extra: str = "", *, with_peers: bool = True
) -> dict[str, float]:
    """Median seconds from a drop, or from a peer's submission, to the first instruction; in turns."""
    bell = Bell(bench.root)
    taken: dict[str, list[float]] = {"aqueue": []}
    with contextlib.ExitStack() as stack:
        others = {
            name: stack.enter_context(submitting)
            for name, submitting in (peers.starters(bench) if with_peers else ())
        }
        for number in range(times):
            staged = folder.stage(f"hot{number}-{time.monotonic_ns()}", f"command: {bell.command}\n{extra}")
            # Not in step with whoever looks once in a while.
            time.sleep(pause * random.uniform(0.98, 1.02))
            began = time.perf_counter()
            folder.drop(staged)
            taken["aqueue"].append(bell.wait() - began)
            for name, submit in others.items():
                time.sleep(0.02)
                began = time.perf_counter()
                process = submit(bell.command)
                taken.setdefault(name, []).append(bell.wait() - began)
                process.wait()
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def rate_of_true(bench: Bench, count: int) -> float:
    with bench.serving("-j", "2", "-q") as folder:
        time.sleep(1)
        began = folder.drop_many("true", count, "command: 'true'\n")
        return finish_rate(folder, "name LIKE 'true%'", count, began)


def rate_of_queued(bench: Bench, count: int) -> float:
    with bench.serving("-j", "2", "-q") as folder:
        time.sleep(1)
        began = time.time()
        folder.put(Task(name="queued", command="true", working_dir="/") for _ in range(count))
        return finish_rate(folder, "name = 'queued'", count, began)
