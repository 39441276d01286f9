"""Queues that two servers share: what a crowd that waits changes, and how soon a freed slot is taken over."""

import contextlib
import os
import statistics
import time
from collections.abc import Sequence

from aqueue.model.task import Priority, Task
from tests.benchmarks.bench import SCRIPT, Bell, Bench, Folder, ms, until, wall

QUEUES = ("q0", "q1", "q2", "q3")
FOUR = f"queues: {{config: [{', '.join(f'{{name: {queue}}}' for queue in QUEUES)}]}}\n"
TWO = "queues: {config: [{name: first}, {name: second, wait_for_running: true}]}\n"
FEW = 100
TIMES = 15


class Gate:
    """A FIFO that commands wait at."""

    def __init__(self, folder: Folder) -> None:
        path = folder.staging / "gate"
        os.mkfifo(path)
        self.command = f"read line <{path}"
        self._descriptor = os.open(path, os.O_RDWR)

    def let_through(self, count: int) -> None:
        os.write(self._descriptor, b"\n" * count)


def queues(bench: Bench, many: int) -> None:
    crowd_of_queues(bench, many)
    for pause, times in ((0.1, 30), (4.0, 10)):
        hand_over(bench, pause, times, [()], "at most 2.5 ms")
        hand_over(bench, pause, times, [("--queue", "first"), ("--queue", "second")], "at most 4.5 ms")


def crowd_of_queues(bench: Bench, many: int) -> None:
    """With a run in each queue that keeps the others waiting, commands are asked; then all may go."""
    folder = bench.folder()
    folder.configure(FOUR)
    gate = Gate(folder)
    with bench.server(folder, "-q"), bench.server(folder, "-q"):
        rate_of_few = statistics.median(rate(folder, put(folder, FEW, "true"), FEW) for _ in range(10))
        put(folder, len(QUEUES), gate.command, Priority.HIGH)
        until(lambda: folder.count("runs", "state = 'running'") == len(QUEUES))
        put(folder, FEW, "true")
        before = ask(folder)
        last = put(folder, many, "true")
        for (what, taken), (_, taken_before) in zip(ask(folder), before, strict=True):
            aim = "under 200 ms" if "dequeue" in what else "under 300 ms"
            bench.row(f"{what}, {many:,} queued", ms(taken), f"{FEW} queued: {ms(taken_before)}", aim)
        gate.let_through(len(QUEUES))
        rate_of_many = rate(folder, last, 10 * FEW)
    bench.row(
        f"`true` runs of 4 queues by 2 servers, {many:,} queued",
        f"{rate_of_many:.0f}/s",
        f"{rate_of_many / rate_of_few:.2f} of the rate with {FEW} queued ({rate_of_few:.0f}/s)",
        "at least 0.50",
    )


def put(folder: Folder, count: int, command: str, priority: Priority = Priority.LOW) -> int:
    """Queue runs, in each queue as many; returns the id that was the last one before."""
    (last,) = folder.query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")[0]
    folder.put(
        Task(name="task", command=command, working_dir="/", queue=QUEUES[number % 4], priority=priority)
        for number in range(count)
    )
    return int(last)


def rate(folder: Folder, after: int, count: int) -> float:
    """Return how many of the first `count` runs after an id ended in a second."""
    ended_since = f"run > {after} AND finished_at IS NOT NULL"
    until(lambda: folder.count("attempts", ended_since) >= count)
    attempts = folder.query(f"SELECT started_at, finished_at FROM attempts WHERE {ended_since}")
    began, ended = min(start for start, _ in attempts), sorted(end for _, end in attempts)[count - 1]
    return count / float(ended - began)


def ask(folder: Folder) -> list[tuple[str, float]]:
    """Return the durations of whole commands."""
    queued = folder.query("SELECT name || ':' || run_id FROM runs WHERE queue = 'q1' AND state = 'queued'")
    middle = [name for (name,) in queued[len(queued) // 4 :][:TIMES]]
    asked = {
        "aqueue status": [["status"]] * TIMES,
        "aqueue ls": [["ls"]] * TIMES,
        "aqueue dequeue QUEUE": [["dequeue", "q0"]] * TIMES,
        "aqueue dequeue QUEUE -d RUN": [["dequeue", "q1", "-d", name] for name in middle],
    }
    return [
        (what, statistics.median(wall([SCRIPT, *command, "--dir", str(folder.path)], 1) for command in commands))
        for what, commands in asked.items()
    ]


def hand_over(bench: Bench, pause: float, times: int, serves: Sequence[Sequence[str]], aim: str) -> None:
    """From the last thing that a run does to the first that the next does.

    Args:
        serves: the options of each server.
    """
    folder = bench.folder()
    folder.configure(TWO)
    gate, last, first = Gate(folder), Bell(bench.root), Bell(bench.root)
    tasks = [
        Task(name=queue, command=command, working_dir="/", queue=queue)
        for queue, command in (("first", f"{gate.command}; {last.command}"), ("second", first.command))
    ]
    taken = []
    with contextlib.ExitStack() as stack:
        for options in serves:
            stack.enter_context(bench.server(folder, "-q", *options))
        for _ in range(times):
            folder.put(tasks[:1])
            until(lambda: folder.count("runs", "state = 'running'") == 1)
            folder.put(tasks[1:])
            time.sleep(pause)
            gate.let_through(1)
            ended = last.wait()
            taken.append(first.wait() - ended)
            until(lambda: folder.count("runs", "state <> 'succeeded'") == 0)
    bench.row(
        f"freed slot to the next start, {len(serves)} server(s), after {pause:g} s",
        ms(statistics.median(taken)),
        f"from {ms(min(taken))} to {ms(max(taken))}",
        aim,
    )
