"""Plans for the program around an attempt (see `checkout`): the checkout to make, the outputs to save."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.isolation import plan
from aqueue.model.run import Run
from aqueue.model.task import Keep, Task


def is_needed(task: Task) -> bool:
    """Return True if an attempt of the task needs a plan."""
    return task.isolate is not None or bool(task.outputs)


def write(run: Run, folder: Folder) -> str:
    """Write the plan of a run's attempt, whose directory is there already.

    Returns:
        where the command runs.

    Raises:
        OSError: it cannot be written.
        ValueError: nobody has kept the code that it is to run.
    """
    task, isolate, snapshot = run.task, run.task.isolate, run.task.snapshot
    checkout = str(folder.checkout(run.id, run.attempt)) if isolate else None
    if isolate is not None and snapshot is None:
        raise ValueError("its code was not kept when it was queued")
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
    return os.path.join(checkout, snapshot.prefix)  # noqa: PTH118 - an empty prefix leaves it as it is


def finish(attempt: str, exit_code: int) -> None:
    """Do what the program around an attempt does at its end, where that was killed before it came to that.

    Args:
        attempt: the path of the attempt's files, without their suffixes.
        exit_code: of the command.
    """
    with contextlib.suppress(OSError), open(attempt + ".log", "ab", opener=no_links.opener) as log:
        command = [*plan.PROGRAM, "finish", attempt, str(exit_code)]
        subprocess.run(  # noqa: S603 - aqueue itself
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, check=False
        )


PROGRAM: Final = (sys.executable, "-I", "-S", "-X", "utf8", str(Path(__file__).with_name("checkout.py")))
"""The program that makes checkouts and saves outputs; see `checkout` for its arguments."""
