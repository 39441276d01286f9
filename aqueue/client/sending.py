"""Sending text to the input of a running run. No server is needed for it."""

from typing import Final

from aqueue.client.session import reading
from aqueue.errors import RunError
from aqueue.executors import attempt_input
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State

_PATIENCE: Final = 10.0
"""The seconds for which a command may leave its input unread, or an attempt may begin."""


def send(folder: Folder, written: str, text: bytes, *, ends: bool, patience: float = _PATIENCE) -> Run:
    """Send bytes to a run, and return the run.

    Args:
        ends: whether this is the end of its input.
        patience: how many seconds to wait for the command to read, and for the attempt to begin.

    Raises:
        RunError: it does not run, its input is not open, or its command does not read.
    """
    with reading(folder) as store:
        run = store.runs.resolve(written)
    if run.task.stdin is None:
        raise RunError(
            f"run {run.id} has no input", "write `stdin: open` into its task file, or queue it with `add --stdin`"
        )
    if run.state is not State.RUNNING:
        raise RunError(f"run {run.id} takes no input: it is {run.state}", "text can be sent to running runs")
    try:
        attempt_input.send(folder.attempt(run.id, run.attempt), text, ends=ends, patience=patience)
    except attempt_input.NotOpenError:
        raise RunError(f"run {run.id} takes no input: its command has not begun, or is over", "") from None
    except attempt_input.ClosedError:
        raise RunError(f"run {run.id} takes no input: the end of its input was sent", "") from None
    except attempt_input.FullError as error:
        message = f"run {run.id} does not read its input: {error.left} of {len(text)} bytes were not sent"
        raise RunError(message, "see what it does: `aqueue logs -f`") from None
    return run
