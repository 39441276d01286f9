"""Runs as JSON for scripts."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from aqueue.client.session import Warn, reading
from aqueue.executors import outside
from aqueue.folder.layout import Folder
from aqueue.model.gpu import Allocation
from aqueue.model.run import Attempt, Run, State
from aqueue.model.values import all_stand_for, plain_text


def iso(moment: float | None) -> str | None:
    """Return a time in ISO 8601, in UTC with milliseconds."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(run: Run, now: float) -> float | None:
    """Return the same in seconds; None if there has been none."""
    if run.started_at is None or run.state in (State.QUEUED, State.HELD):
        return None
    if run.state is not State.RUNNING:
        return run.took
    return max(now - run.started_at, 0.0)


class Shown(NamedTuple):
    """The details of a run.

    Attributes:
        wait: why it has not started; None if it does not wait.
        after: the runs that it comes after.
    """

    folder: Folder
    run: Run
    wait: str | None
    attempts: list[Attempt]
    after: list[Run]

    def as_json(self) -> dict[str, Any]:
        """Return what `show --json` prints."""
        return run_in_full_as_json(self.run, self.wait, self.attempts, self.after, self.folder)


def show(folder: Folder, written: str, warn: Warn) -> Shown:
    """Return the details of a run.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        RunError: there is none, or several are meant.
    """
    # Imported here because lists of runs do not need it.
    from aqueue.client.wait_reasons import waits

    with reading(folder) as store:
        run = store.runs.resolve(written)
        (wait,) = waits(store, folder, [run], warn)
        return Shown(folder, run, wait, store.runs.attempts(run), store.dependencies.prerequisites(run))


def run_as_json(run: Run, waiting_for: str | None, folder: Folder) -> dict[str, Any]:
    """Return the run as `ls --json` prints it."""
    return {
        "id": run.id,
        "run_id": run.run_id,
        "name": run.name,
        "queue": run.queue,
        "priority": run.priority.word,
        "state": run.state,
        "reason": run.reason,
        "waiting_for": waiting_for,
        "trigger": run.trigger,
        "tags": run.task.tags,
        "group": run.task.group,
        "params": all_stand_for(run.task.params),
        # As the command gets them: the number 1.3 does not show that it is written 1.30.
        "params_text": {name: plain_text(value) for name, value in run.task.params.items()},
        # NaN and infinities, which JSON lacks, become null.
        "metrics": run.metrics or None,
        "gpus": gpus_as_json(run.gpus),
        "attempt": run.attempt,
        "exit_code": run.exit_code,
        "pid": pid(run, folder),
        "created_at": iso(run.created_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "scheduled_for": iso(run.scheduled_for),
        "log": log(run, folder),
    }


def run_in_full_as_json(
    run: Run, waiting_for: str | None, attempts: Iterable[Attempt], after: Sequence[Run], folder: Folder
) -> dict[str, Any]:
    """Return the run as `show --json` prints it.

    Args:
        after: the runs that it comes after.
    """
    return run_as_json(run, waiting_for, folder) | {
        "command": run.task.command,
        "asks_for": msgspec.to_builtins(run.task.gpu_request),
        "working_dir": run.task.working_dir,
        "log_limit": run.task.log_limit,
        "after": [other.id for other in after] or None,
        "isolate": msgspec.to_builtins(run.task.isolate),
        "outputs": run.task.outputs or None,
        "attempts": [
            {
                "number": attempt.number,
                "started_at": iso(attempt.started_at),
                "finished_at": iso(attempt.finished_at),
                "exit_code": attempt.exit_code,
                "signal": attempt.signal,
                "reason": attempt.reason,
                "gpus": gpus_as_json(attempt.gpus),
                "log": str(folder.log(run.id, attempt.number)),
                "checkout": checkout(run, attempt.number, folder),
            }
            for attempt in attempts
        ],
    }


def gpus_as_json(gpus: Sequence[Allocation]) -> list[int | str] | None:
    """Return GPUs as indices, and instances as the indices of their GPU and their own; None for no GPUs."""
    return [int(gpu.label) if gpu.label.isdigit() else gpu.label for gpu in gpus] or None


def pid(run: Run, folder: Folder) -> int | None:
    """Return the pid of the command of a run that is running."""
    if run.state is not State.RUNNING:
        return None
    return outside.command_pid(run, folder)


def log(run: Run, folder: Folder) -> str | None:
    """Return the path of the output of the last attempt."""
    path = folder.log(run.id, run.attempt)
    return str(path) if run.attempt and os.path.exists(path) else None  # noqa: PTH110 - for each row


def checkout(run: Run, attempt: int, folder: Folder) -> str | None:
    """Return the path of the checkout of an attempt, if there is one."""
    path = folder.checkout(run.id, attempt)
    return str(path) if run.task.isolate is not None and path.exists() else None
