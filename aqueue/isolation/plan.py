"""Plans for the program that runs before and after an attempt's command: see `checkout`."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.model.run import Run
from aqueue.model.task import Keep, Task

# A directory in its place would be run by way of `runpy`, which takes longer to load.
PROGRAM: Final = (
    *(sys.executable, "-I", "-S", "-X", "utf8"),
    str(Path(__file__).with_name("checkout") / "__main__.py"),
)
"""The program that makes checkouts and saves outputs; see `checkout` for its arguments."""


def is_needed(task: Task) -> bool:
    """Return True if an attempt of the task needs a plan."""
    return task.isolate is not None or bool(task.outputs)


def write(run: Run, folder: Folder) -> str:
    """Write the plan of a run's attempt, whose directory is there already.

    Returns:
        the directory in which the command runs.

    Raises:
        OSError: it cannot be written.
        ValueError: the run is to be isolated, and has no snapshot.
    """
    task, isolate, snapshot = run.task, run.task.isolate, run.task.snapshot
    checkout = str(folder.checkout(run.id, run.attempt)) if isolate else None
    if isolate is not None and snapshot is None:
        raise ValueError("no snapshot of its code was taken when it was queued")
    plan = {
        "source": task.working_dir,
        "checkout": checkout,
        "repository": snapshot.repository if snapshot else "",
        "commit": snapshot.commit if snapshot else "",
        "prefix": snapshot.prefix if snapshot else "",
        "copy": isolate.copy if isolate else (),
        "link": isolate.link if isolate else (),
        "outputs": task.outputs,
        "keep": isolate.keep if isolate else Keep.ALWAYS,
        "run_dir": str(folder.run_dir(run.id)),
    }
    path = folder.attempt(run.id, run.attempt) + ".plan"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(plan))
    if checkout is None or snapshot is None:
        return task.working_dir
    return os.path.join(checkout, snapshot.prefix)  # noqa: PTH118 - it ends in a slash where the prefix is empty


def finish(attempt: str, exit_code: int) -> None:
    """Finish an attempt whose own shell script was killed before it could.

    Args:
        attempt: the path of the attempt's files, without their suffixes.
        exit_code: of the command.
    """
    with contextlib.suppress(OSError), open(attempt + ".log", "ab", opener=no_links.opener) as log:
        command = [*PROGRAM, "finish", attempt, str(exit_code)]
        subprocess.run(  # noqa: S603 - aqueue's own program
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, check=False
        )
