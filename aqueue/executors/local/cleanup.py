"""Cleanup after an attempt: its log, outputs and checkout are finished, and its metrics are read."""

import contextlib
import os
from functools import partial
from typing import Final

import msgspec

from aqueue.executors import attempt_files, attempt_input, metrics
from aqueue.executors.local import log_keeping, wrapper
from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.isolation import plan
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Metric
from aqueue.threads import in_thread

_SHARED: Final = (
    "metrics.json was ignored, because other runs used this directory at the same time:"
    " write it to $AQUEUE_RUN_DIR, or use `isolate: git`"
)


async def clean_up(outcome: Outcome, folder: Folder, *, shares_directory: bool) -> Outcome:
    """Clean up what an attempt could not, and return its outcome with its metrics.

    Args:
        shares_directory: whether another run used its working directory at the same time, and may have
            written there.

    Raises:
        OSError: its files cannot be read or removed.
    """
    run, attempt = outcome.run, folder.attempt(outcome.run.id, outcome.run.attempt)
    if run.task.stdin is not None:
        attempt_input.remove(attempt)
    if plan.is_needed(run.task):
        await _finish_plan(outcome, folder, attempt)
    if outcome.end in (End.NEVER_STARTED, End.FAILED_TO_START):
        return outcome
    if run.task.log_limit is not None:
        await log_keeping.settle(run.task.log_limit, attempt)
    return msgspec.structs.replace(outcome, metrics=await _measured(attempt, shares_directory=shares_directory))


async def _finish_plan(outcome: Outcome, folder: Folder, attempt: str) -> None:
    """Save the outputs and remove the checkout of an attempt that was killed before it could do so itself."""
    path = folder.checkout(outcome.run.id, outcome.run.attempt)
    if outcome.end is End.NEVER_STARTED:
        if path.exists():
            # Imported here: it is rarely needed.
            from aqueue.isolation.checkout.files import discard

            with contextlib.suppress(OSError):
                await in_thread(partial(discard, str(path)))
        return
    fence = attempt_files.read_fence(attempt)
    if fence is not None and (fence.exit_code is None or fence.remark == wrapper.UNFINISHED):
        code = outcome.exit_code or 1
        await in_thread(partial(plan.finish, attempt, code), abandon_on_cancel=True)


async def _measured(attempt: str, *, shares_directory: bool) -> dict[str, Metric]:
    """Return the metrics of an attempt; problems with them are appended to its output, where users look."""
    notes = [_SHARED] if shares_directory and _remove(attempt + ".metrics.json") else []
    size = metrics.output_size(attempt)
    if size > metrics.LARGE:
        found, problem = await in_thread(partial(metrics.read, attempt, size))
    else:
        found, problem = metrics.read(attempt, size)
    notes += [problem] if problem else []
    if notes:
        with contextlib.suppress(OSError), open(attempt + ".log", "a", opener=no_links.opener) as log:
            log.writelines(f"aqueue: {note}\n" for note in notes)
    return found


def _remove(path: str) -> bool:
    """Remove a file, and return True if it existed. It rarely does, and a check is cheaper than an error."""
    if not os.path.exists(path):  # noqa: PTH110 - a text already
        return False
    os.unlink(path)  # noqa: PTH108 - as above
    return True
