"""The working directory of runs queued here. A path in a checkout, which is temporary, maps to its source."""

import os
from pathlib import Path

import msgspec

from aqueue.client import command_task
from aqueue.client.session import environment, working_dir
from aqueue.errors import FolderError
from aqueue.isolation import origin
from aqueue.isolation.origin import Origin
from aqueue.model.task import Task


def origin_here() -> Origin | None:
    """Return the source of the checkout this command runs in; None if it runs in none.

    Raises:
        FolderError: the current directory no longer exists.
    """
    return origin.find(str(working_dir()))


def carried() -> dict[str, str]:
    """Return the variables that a command gets, with paths in a checkout mapped to its source."""
    here, found = origin_here(), command_task.carried(environment())
    if here is None:
        return found
    return {name: os.pathsep.join(map(here.original, text.split(os.pathsep))) for name, text in found.items()}


def moved_out(task: Task) -> Task:
    """Return a task with its working directory mapped from a checkout to its source.

    Raises:
        FolderError: only the checkout has that directory, and the task is not isolated.
    """
    here = origin_here()
    if here is None:
        return task
    original = here.original(task.working_dir)
    if task.isolate is None and original != task.working_dir and not Path(original).is_dir():
        raise FolderError(
            f"{task.working_dir} is removed with its run, and {original} does not exist",
            "use an existing directory, with `cd` or `working_dir`, or isolate the task",
        )
    return msgspec.structs.replace(task, working_dir=original)
