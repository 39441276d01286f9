"""GPUs: how long it takes to choose cards for a crowd, and from the end of a run on a card to the next on it.

The cards are made up, see `tests.nvml`; the library that tells of them, and all that asks it, is real.
"""

import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path

from aqueue.folder.layout import Folder
from aqueue.model.claim import GpuView
from aqueue.model.gpu import Gpu, GpuReading
from aqueue.model.run import Trigger
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.store import database
from aqueue.store.store import Store
from tests.benchmarks.bench import Bell, Bench, ms, until
from tests.nvml.fake import FakeCards

GPUS = 8
GIB = 1 << 30


def gpus(bench: Bench, many: int) -> None:
    choice(bench, many)
    hand_over(bench, times=50)


def choice(bench: Bench, many: int) -> None:
    """The claim of runs for eight cards that are free, without the commit that follows."""
    taken = []
    for number in range(9):
        folder = Folder(bench.root / f"choice-{number}" / "queue")
        folder.create()
        with contextlib.closing(database.connect(folder)) as connection, database.transaction(connection, folder):
            store = Store(connection)
            for index in range(many):
                store.submissions.add(_task(index), 1.0, trigger=Trigger.MANUAL)
            look = GpuReading(began_at=time.time(), ended_at=time.time(), gpus=tuple(map(_card, range(GPUS))))
            began = time.perf_counter()
            given = store.claims.claim("server", Limits(jobs=GPUS), time.time(), GpuView(look))
            taken.append(time.perf_counter() - began)
            if not given.runs:
                raise AssertionError(given)
    bench.row(
        f"choosing among {GPUS} GPUs for {many:,} waiting runs",
        f"median {ms(statistics.median(taken))}, at most {ms(max(taken))}",
        "40 kinds of gpu_request, each run in a queue of its own",
        "under 5 ms",
    )


def hand_over(bench: Bench, times: int) -> None:
    """From the last instruction of a run on the only card to the first of the next."""
    cards = FakeCards(Path(tempfile.mkdtemp(dir=bench.root)), *FakeCards.cards(1))
    os.environ.update(cards.environment)
    bell = Bell(bench.root)
    with bench.serving("-j", "4", "-q") as folder:
        for number in range(times):
            folder.drop(folder.stage(f"gpu{number}", f"command: {bell.command}; {bell.command}\ngpus: 1\n"))
        rung = [bell.wait() for _ in range(2 * times)]
        until(lambda: folder.count("runs", "state = 'succeeded'") == times)
    gaps = [start - end for end, start in zip(rung[1::2], rung[2::2], strict=False)]
    bench.row(
        "end of a run on a GPU to the start of the next on it",
        f"median {ms(statistics.median(gaps))}, at most {ms(max(gaps))}",
        "with a look at the GPU in between",
        "at most 20 ms",
    )


def _task(index: int) -> Task:
    """One of 40 kinds: one to eight cards, with five sizes of memory."""
    memory = (None, 8 * GIB, 16 * GIB, 20 * GIB, 23 * GIB)[index // 8 % 5]
    return Task(name=f"train-{index}", command="true", working_dir="/", gpus=index % 8 + 1, gpu_memory=memory)


def _card(index: int) -> Gpu:
    distances = {f"GPU-{other}": 0 if other // 4 == index // 4 else 50 for other in range(GPUS) if other != index}
    return Gpu(key=f"GPU-{index}", index=index, total=24 * GIB, free=24 * GIB, processes=(), distances=distances)
