"""Runs as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from aqueue.client import details
from aqueue.client.details import Details
from aqueue.client.forecasts import Forecast, Forecasts
from aqueue.client.session import Warn
from aqueue.client.views.times import iso
from aqueue.client.wait_reasons import Waits
from aqueue.folder.layout import Folder
from aqueue.model.gpu import Allocation
from aqueue.model.progress import Progress
from aqueue.model.run import Attempt, Run, Usage
from aqueue.model.values import all_stand_for, plain_text
from aqueue.store.store import Store


def slices_as_json(store: Store, folder: Folder, ids: Sequence[int], warn: Warn) -> Iterator[list[dict[str, Any]]]:
    """Yield runs as `ls --json` prints them, some at a time.

    Args:
        warn: is told of an error in the configuration.
    """
    known, forecasts = Waits(store, folder, warn), Forecasts(store, folder)
    for runs in store.runs.in_slices(ids):
        yield [
            run_as_json(run, why, folder, forecasts.of(run)) for run, why in zip(runs, known.of(runs), strict=True)
        ]


def run_as_json(run: Run, waiting_for: str | None, folder: Folder, forecast: Forecast) -> dict[str, Any]:
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
        "starts_in": forecast.starts_in,
        "progress": _progress(forecast.progress),
        "trigger": run.trigger,
        "tags": run.task.tags,
        "group": run.task.group,
        "params": all_stand_for(run.task.params),
        # As the command gets them: the number 1.3 does not show that it is written 1.30.
        "params_text": {name: plain_text(value) for name, value in run.task.params.items()},
        # NaN and infinities, which JSON lacks, become null.
        "metrics": run.metrics or None,
        "gpus": _gpus(run.gpus),
        "attempt": run.attempt,
        "exit_code": run.exit_code,
        "pid": details.pid(run, folder),
        "created_at": iso(run.created_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "scheduled_for": iso(run.scheduled_for),
        "log": details.log(run, folder),
    }


def details_as_json(shown: Details) -> dict[str, Any]:
    """Return the details of a run as `show --json` prints them."""
    run, folder = shown.run, shown.folder
    return run_as_json(run, shown.wait, folder, shown.forecast) | {
        "command": run.task.command,
        "asks_for": msgspec.to_builtins(run.task.gpu_request),
        "working_dir": run.task.working_dir,
        "log_limit": run.task.log_limit,
        "after": [other.id for other in shown.after] or None,
        "isolate": msgspec.to_builtins(run.task.isolate),
        "outputs": run.task.outputs or None,
        "attempts": [_attempt(run, attempt, folder) for attempt in shown.attempts],
    }


def _attempt(run: Run, attempt: Attempt, folder: Folder) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": iso(attempt.started_at),
        "finished_at": iso(attempt.finished_at),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "reason": attempt.reason,
        "gpus": _gpus(attempt.gpus),
        "log": str(folder.log(run.id, attempt.number)),
        "checkout": details.checkout(run, attempt.number, folder),
        **{name: getattr(attempt, name) for name in Usage.__struct_fields__},
    }


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    report = progress.report
    return {
        "fraction": report and report.fraction,
        "done": report and report.done,
        "total": report and report.total,
        "text": (report and report.text) or None,
        "source": report.source if report else "history",
        "seconds_left": progress.left,
        "usual_seconds": progress.usual,
    }


def _gpus(gpus: Sequence[Allocation]) -> list[int | str] | None:
    """Return GPUs as indices, and instances as the indices of their GPU and their own; None for no GPUs."""
    return [int(gpu.label) if gpu.label.isdigit() else gpu.label for gpu in gpus] or None
