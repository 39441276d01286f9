"""The costs of an idle server and of a command."""

import sys
import time

from tests.benchmarks.bench import SCRIPT, Bench, cpu_seconds, ms, resident, wall

CONFIG = """\
jobs: 2
queues:
  config:
    - {name: gpu, max_concurrency: 2}
defaults: {timeout: 4h}
"""
"""A configuration as people have one: it must not slow down a command."""


def idle(bench: Bench, seconds: float) -> None:
    with bench.serving() as folder:
        time.sleep(6)
        before = cpu_seconds(folder.server)
        time.sleep(seconds)
        share = (cpu_seconds(folder.server) - before) / seconds
        bench.row("idle server, processor", f"{share:.3%} of a core", f"over {seconds:.0f} s", "at most 0.05 %")
        bench.row("idle server, memory", f"{resident(folder.server):.0f} MB", "", "at most 38 MB")


def commands(bench: Bench, times: int) -> None:
    with bench.serving() as folder:
        folder.configure(CONFIG)
        python = wall([sys.executable, "-c", "pass"], times)
        for what, arguments, aim in (
            ("aqueue --help", ["--help"], "under 100 ms"),
            ("aqueue add", ["add", "--dir", str(folder.path), "--", "true"], "at most 40 ms"),
            ("aqueue add --gpus 0", ["add", "--dir", str(folder.path), "--gpus", "0", "--", "true"], ""),
            ("aqueue ls", ["ls", "--dir", str(folder.path)], "under 100 ms"),
            ("aqueue status", ["status", "--dir", str(folder.path)], "under 100 ms"),
            ("aqueue show", ["show", "--dir", str(folder.path), "1"], "under 100 ms"),
        ):
            bench.row(what, ms(wall([SCRIPT, *arguments], times)), f"python -c pass: {ms(python)}", aim)
