"""The directory in which runs queued here run. A checkout goes with its run, so it stands for its source."""

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
    """Return what the checkout in which this command was given was made of; None if it was given in none.

    Raises:
        FolderError: this directory is not there any more.
    """
    return origin.find(str(working_dir()))


def carried() -> dict[str, str]:
    """Return the variables that a command gets, with what is in a checkout where it is for the user."""
    here, found = origin_here(), command_task.carried(environment())
    if here is None:
        return found
    return {name: os.pathsep.join(map(here.original, text.split(os.pathsep))) for name, text in found.items()}


def moved_out(task: Task) -> Task:
    """Return a task that runs where the user knows the directory.

    Raises:
        FolderError: only the checkout has such a directory, and the task runs in no checkout.
    """
    here = origin_here()
    if here is None:
        return task
    original = here.original(task.working_dir)
    if task.isolate is None and original != task.working_dir and not Path(original).is_dir():
        raise FolderError(
            f"{task.working_dir} goes with its run, and there is no {original}",
            "run it in a directory that is there, with `cd` or `working_dir`, or isolate it",
        )
    return msgspec.structs.replace(task, working_dir=original)
