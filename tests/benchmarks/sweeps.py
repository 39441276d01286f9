"""Large sweeps: how soon all of their runs are queued, and what comes after them cancelled."""

import time

from tests.benchmarks.bench import SCRIPT, Bench, Folder, until, wall

TEXT = "command: 'true'\nqueue: later\nmatrix: {{lr: [{rates}], seed: range(100)}}\n"
PAUSED = "queues: {config: [{name: later, paused: true}]}\n"


def sweeps(bench: Bench, count: int) -> None:
    """Their queue is paused: what is measured is how they come in."""
    folder = bench.folder()
    folder.configure(PAUSED)
    rates = ", ".join(str(number / 1000) for number in range(1, count // 100 + 1))
    text = TEXT.format(rates=rates)
    with bench.server(folder, "-q"):
        time.sleep(1)
        seconds = drop(folder, "sweep", text, count)
        bench.row(f"a file with {count:,} combinations, until all are queued", f"{seconds:.2f} s", "", "under 3 s")
        seconds = drop(folder, "train", f"{text}---\nname: eval\n{text}needs: train\n", 2 * count)
        bench.row(f"a file with as many, and {count:,} that need them", f"{seconds:.2f} s", "", "under 6 s")
        enqueue = [SCRIPT, "enqueue", "--dir", str(folder.path), str(folder.stage("command", text))]
        bench.row(f"aqueue enqueue of {count:,} combinations", f"{wall(enqueue, 3):.2f} s", "", "under 3 s")
        cancel = [SCRIPT, "cancel", "--dir", str(folder.path), "--group", "train"]
        what = f"aqueue cancel of {count:,} runs, with {count:,} that come after them"
        bench.row(what, f"{wall(cancel, 1):.2f} s", "", "under 6 s")


def drop(folder: Folder, name: str, text: str, count: int) -> float:
    """Seconds from the rename of a file until its runs are queued."""
    before, staged = folder.count("runs"), folder.stage(name, text)
    began = time.perf_counter()
    folder.drop(staged)
    # One transaction: as long as that is not over, not one of them is there.
    until(lambda: folder.count("runs") == before + count, 0.005)
    return time.perf_counter() - began
