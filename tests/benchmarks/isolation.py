"""Code of many files: how soon it is kept as it is, and how soon an attempt has a checkout of it."""

import statistics
import subprocess
import time
from pathlib import Path

import msgspec

from aqueue.isolation import snapshot as snapshots
from aqueue.isolation.plan import PROGRAM
from aqueue.model.task import Isolation
from tests.benchmarks.bench import Bench, ms


def isolation(bench: Bench, files: int, times: int) -> None:
    repository = bench.root / "code"
    for number in range(files):
        path = repository / f"part-{number // 100}" / f"{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n" * (number % 200 + 1))
    git = ["git", "-C", str(repository), "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    kept, made, cleared, plain = [], [], [], []
    for number in range(times):
        (repository / "part-0" / "0.py").write_text(f"edit {number}\n")
        began = time.perf_counter()
        snapshot = snapshots.take(str(repository), Isolation(), bench.root)
        kept.append(time.perf_counter() - began)
        run_dir = bench.root / f"run-{number}"
        run_dir.mkdir()
        plan: dict[str, object] = {
            "source": str(repository),
            "checkout": str(run_dir / "checkout-1"),
            "repository": snapshot.repository,
        }
        plan |= {"commit": snapshot.commit, "prefix": "", "copy": [], "link": [], "outputs": [], "keep": "failed"}
        attempt = run_dir / "attempt-1"
        Path(f"{attempt}.plan").write_bytes(msgspec.json.encode({**plan, "run_dir": str(run_dir)}))
        made.append(seconds([*PROGRAM, "make", str(attempt)]))
        cleared.append(seconds([*PROGRAM, "finish", str(attempt), "0"]))
        worktree = str(bench.root / f"worktree-{number}")
        plain.append(seconds([*git, "worktree", "add", "-q", "--detach", worktree, snapshot.commit]))
    middle = statistics.median
    bench.row(f"a snapshot of {files:,} files, one of them edited", ms(middle(kept)))
    beside = f"git worktree add: {ms(middle(plain))}"
    bench.row(
        f"a checkout of {files:,} files", f"{ms(middle(made))}, at most {ms(max(made))}", beside, "under 1 s"
    )
    bench.row("clearing it away", ms(middle(cleared)))


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began
