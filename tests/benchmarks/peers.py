"""The same by task-spooler, nq, xargs, GNU parallel and HyperQueue, as far as they are installed.

Each is asked in the way its users ask it, from the beginning of the command that submits; aqueue is given files.
"""

import contextlib
import importlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from tests.benchmarks.bench import Bench

Submit = Callable[[str], "subprocess.Popen[bytes]"]
"""Starts to submit a shell command."""

COUNT = 500


def starters(bench: Bench) -> Iterator[tuple[str, AbstractContextManager[Submit]]]:
    """Those who start a command that is submitted, each with its name."""
    yield "sh -c", contextlib.nullcontext(lambda command: subprocess.Popen(["/bin/sh", "-c", command]))
    if shutil.which("tsp"):
        yield "tsp", _spooler(bench)
    if shutil.which("nq"):
        yield "nq", _nq(bench)


def rates(bench: Bench) -> Iterator[tuple[str, float]]:
    """Return the number of `true` that each runs in a second, two at a time, with its name."""
    yield "bare loop", _rate(_loop)
    yield "xargs -P2", _rate(lambda: _pipe(["xargs", "-P2", "-I{}", "true"]))
    if shutil.which("parallel"):
        yield "parallel -j2", _rate(lambda: _pipe(["parallel", "-j2", "true {} #"]))
    if shutil.which("tsp"):
        yield "tsp", _rate_of_spooler(bench)
    with contextlib.suppress(ImportError):
        yield "hyperqueue", _rate_of_hyperqueue(importlib.import_module("hyperqueue"), bench)


@contextlib.contextmanager
def _spooler(bench: Bench) -> Iterator[Submit]:
    environment = _spooler_environment(bench)
    try:
        yield lambda command: subprocess.Popen(
            ["tsp", "-n", "sh", "-c", command], env=environment, stdout=subprocess.DEVNULL
        )
    finally:
        subprocess.run(["tsp", "-K"], env=environment, check=True)


def _rate_of_spooler(bench: Bench) -> float:
    environment = _spooler_environment(bench)

    def spool(*arguments: str) -> None:
        subprocess.run(["tsp", *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)

    def submit_all() -> None:
        for _ in range(COUNT):
            spool("-n", "true")
        spool("-w")

    try:
        return _rate(submit_all)
    finally:
        spool("-K")


def _spooler_environment(bench: Bench) -> dict[str, str]:
    # Not removed before the end: ext4 is many times slower to make files for minutes after others were removed.
    directory = tempfile.mkdtemp(dir=bench.root)
    environment = os.environ | {"TS_SOCKET": f"{directory}/socket", "TMPDIR": directory, "TS_MAXFINISHED": "2000"}
    subprocess.run(["tsp", "-S", "2"], env=environment, check=True)
    return environment


@contextlib.contextmanager
def _nq(bench: Bench) -> Iterator[Submit]:
    environment = os.environ | {"NQDIR": tempfile.mkdtemp(dir=bench.root)}
    yield lambda command: subprocess.Popen(["nq", "-q", "sh", "-c", command], env=environment)


def _rate(do: Callable[[], None]) -> float:
    began = time.perf_counter()
    do()
    return COUNT / (time.perf_counter() - began)


def _loop() -> None:
    running: list[subprocess.Popen[bytes]] = []
    for _ in range(COUNT):
        running.append(subprocess.Popen(["true"]))
        if len(running) == 2:
            running.pop(0).wait()
    for process in running:
        process.wait()


def _pipe(command: list[str]) -> None:
    numbers = "".join(f"{number}\n" for number in range(COUNT))
    subprocess.run(command, input=numbers, text=True, stdout=subprocess.DEVNULL, check=True)


def _rate_of_hyperqueue(hyperqueue: Any, bench: Bench) -> float:
    cluster = importlib.import_module("hyperqueue.cluster")
    with cluster.LocalCluster(tempfile.mkdtemp(dir=bench.root)) as local:
        local.start_worker(cluster.WorkerConfig(cores=2))
        client = local.client()
        job = hyperqueue.Job(max_fails=1)
        for _ in range(COUNT):
            job.program(["true"], stdout=None, stderr=None)
        return _rate(lambda: client.wait_for_jobs([client.submit(job)]))
