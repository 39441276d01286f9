"""The speed of aqueue on this machine: `python -m tests.benchmarks` prints a table.

Machines differ and are noisy, so each figure stands beside what bare processes, or task-spooler where it is
installed, do in the same run. Nothing passes or fails here.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.benchmarks.bench import Bench
from tests.benchmarks.costs import commands, idle
from tests.benchmarks.drops import crowd, latency, throughput
from tests.benchmarks.gpus import gpus
from tests.benchmarks.isolation import isolation
from tests.benchmarks.queues import queues
from tests.benchmarks.schedules import schedules
from tests.benchmarks.sweeps import sweeps

SECTIONS = (
    "latency",
    "throughput",
    "crowd",
    "queues",
    "gpus",
    "schedules",
    "sweeps",
    "isolation",
    "idle",
    "commands",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", nargs="*", default=SECTIONS, help=f"of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of the throughput figure")
    arguments = parser.parse_args()
    measures: tuple[Callable[[Bench], None], ...] = (
        latency,
        partial(throughput, repeat=arguments.repeat),
        partial(crowd, count=10_000),
        partial(queues, many=100_000),
        partial(gpus, many=10_000),
        schedules,
        partial(sweeps, count=10_000),
        partial(isolation, files=10_000, times=9),
        partial(idle, seconds=60),
        partial(commands, times=15),
    )
    with tempfile.TemporaryDirectory(prefix="aqueue-benchmark-") as directory:
        bench = Bench(Path(directory))
        for section, measure in zip(SECTIONS, measures, strict=True):
            if section in arguments.section:
                measure(bench)
        Console(width=None if sys.stdout.isatty() else 140).print(bench.table())


if __name__ == "__main__":
    main()
