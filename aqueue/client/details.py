"""The details of a run: what is stored of it, and what lies in its files."""

import os
from typing import NamedTuple

from aqueue.client.forecasts import Forecast, Forecasts
from aqueue.client.session import Warn, reading
from aqueue.executors import outside
from aqueue.folder.layout import Folder
from aqueue.model.run import Attempt, Run, State


class Details(NamedTuple):
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
    forecast: Forecast


def details_of(folder: Folder, written: str, warn: Warn) -> Details:
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
        return Details(
            folder,
            run,
            wait,
            store.runs.attempts(run),
            store.dependencies.prerequisites(run),
            Forecasts(store, folder).of(run),
        )


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
