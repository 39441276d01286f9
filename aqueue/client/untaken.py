"""The files in the folder that were not taken, and why, by the same rules that servers use."""

import os
import stat
from enum import Enum, auto
from typing import NamedTuple

from aqueue.client.session import awake_and_silent, config_or_default, reading
from aqueue.folder import linked, trust
from aqueue.folder.layout import Folder, printable
from aqueue.intake import overlooked
from aqueue.model.basics import NO_SERVER
from aqueue.model.config import Config
from aqueue.store.store import Store


class Kind(Enum):
    """The kinds of files that are not taken."""

    WAITS = auto()
    """It is taken once a server responds."""
    REFUSED = auto()
    """It is a task file that is not taken until the user does something."""
    OVERLOOKED = auto()
    """It is not a task file, but looks like one."""


class Untaken(NamedTuple):
    """A file, or a directory, that is not taken.

    Attributes:
        file: its path within the folder, printable.
        reason: a sentence that says why.
    """

    file: str
    reason: str
    kind: Kind


def untaken(store: Store, folder: Folder, config: Config) -> list[Untaken]:
    """Return the files that are not taken, sorted, without those that a server is about to take."""
    found = list(overlooked.scan(folder))
    others = [Untaken(_name(folder, path), why, Kind.OVERLOOKED) for path, why in found if why]
    task_files = [path for path, why in found if not why]
    if not task_files:
        return sorted(others, key=lambda one: one.file)
    awake, silent = awake_and_silent(store, folder, config.stale_after)
    scheduled = {schedule.file for schedule in store.schedules.all()}
    for path in task_files:
        name = _name(folder, path)
        if fault := _fault(path):
            why = f"{name} cannot be taken: {fault.text}; {fault.hint}"
            others.append(Untaken(name, why, Kind.REFUSED))
        elif name in scheduled:
            continue
        elif config.disabled_by is not None:
            why = f"{name} is not taken: queues are disabled ({config.disabled_by})"
            others.append(Untaken(name, why, Kind.REFUSED))
        elif not awake:
            server = f"server {silent[0].pid} is not responding" if silent else NO_SERVER
            others.append(Untaken(name, f"{name} is not taken yet: {server}", Kind.WAITS))
    return sorted(others, key=lambda one: one.file)


def left_to_a_person(folder: Folder) -> list[Untaken]:
    """Return the task files that are not taken until the user does something."""
    with reading(folder) as store:
        left = untaken(store, folder, config_or_default(folder))
    return [one for one in left if one.kind is not Kind.OVERLOOKED]


def _fault(path: str) -> trust.Fault | None:
    """Return why a server leaves a task file in place; None if it takes or rejects the file."""
    try:
        status = linked.followed(path, os.lstat(path))
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        return trust.fault_of_task_file(path, status)
    except OSError:
        return None


def _name(folder: Folder, path: str) -> str:
    return printable(os.path.relpath(path, folder.path))
