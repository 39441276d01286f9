"""Queueing one command in the ordinary case, with nothing that takes long to import.

It does what `submit` does, by the same statements and in the same order. Where there is more to find out or to
tell, it does nothing at all, and the command goes the long way.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from aqueue.client import command_task
from aqueue.client.signs_of_life import parted, unserved
from aqueue.clock import Clock, boot
from aqueue.errors import AqueueError
from aqueue.folder.find import find
from aqueue.folder.layout import Folder, may_be_in_checkout
from aqueue.formats import config_for_add
from aqueue.model.basics import LOW, MANUAL
from aqueue.store.database import connect, transaction
from aqueue.store.new_runs import add_run
from aqueue.store.presence import clock_jump, presences

# As in `typing`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_PATIENCE: "Final" = 1.0
"""The seconds that it waits for other processes before the long way does."""

_TOLD: "Final" = ("AQUEUE_", "_AQUEUE_", "CUDA_VISIBLE_DEVICES")
"""The beginnings of variables that tell aqueue something."""


class _Unusual(Exception):  # noqa: N818 - no error
    """There is more to do than this module can."""


def add(
    words: Sequence[str],
    *,
    directory: str | None,
    name: str | None,
    queue: str | None,
    priority: int = LOW,
    tags: Sequence[str] = (),
    hold: bool = False,
) -> tuple[int, str | None] | None:
    """Queue a command.

    Args:
        words: a shell command, or a program and its arguments.
        directory: what names the folder; None: the nearest.
        name: None for one that is made up.
        queue: None for the local queue.
        priority: the lower number goes first.
        hold: hold the run until it is released.

    Returns:
        the id of its run, and why that waits for a server, None if one is there; None if nothing was done.
    """
    try:
        working_dir = os.getcwd()  # noqa: PTH109 - pathlib takes long to import
        folder = _folder(words, directory, working_dir)
        connection = connect(folder, is_durable=True, patience=_PATIENCE)
    except (_Unusual, AqueueError, OSError, UnicodeError):
        return None
    with closing(connection):
        try:
            config = config_for_add.read(connection, folder, queue)
            if config is None:
                return None
            task = _fields(words, name, working_dir, queue)
            task |= {"priority": priority} if priority != LOW else {}
            task |= {"tags": tuple(tags)} if tags else {}
            task |= {"hold": True} if hold else {}
            with transaction(connection, folder):
                added = _added(connection, config.task, task), _unserved(connection, folder, config.stale_after)
        except (AqueueError, OSError, sqlite3.Error, UnicodeError):
            # Nothing was committed.
            return None
        folder.ring()
        folder.notify_clients()
    return added


def _folder(words: Sequence[str], directory: str | None, working_dir: str) -> Folder:
    """Return the folder, if the command and the environment are ordinary."""
    environment = os.environ
    if any(key.startswith(_TOLD) and key != "AQUEUE_DIR" for key in environment):
        raise _Unusual
    if may_be_in_checkout(working_dir):
        raise _Unusual
    if not words[0].strip() or (len(words) > 1 and len(words[0].split()) > 1):
        raise _Unusual
    folder = find(directory, environment, working_dir)
    if not _is_there(folder.database_text):
        raise _Unusual
    return folder


def _fields(words: Sequence[str], name: str | None, working_dir: str, queue: str | None) -> "dict[str, Any]":
    """Return the fields of the task but those at their default: the store has none of these."""
    given = command_task.fields(
        words if len(words) > 1 else words[0],
        name=name,
        working_dir=working_dir,
        env=command_task.carried(os.environ),
        queue=queue,
    )
    return {key: value for key, value in given.items() if value}


def _is_there(path: str) -> bool:
    """Return True if something has this path, be it a link to nowhere.

    Raises:
        OSError: it cannot be told.
    """
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _added(connection: sqlite3.Connection, defaults: str, task: "Mapping[str, Any]") -> int:
    """Remember a run of a task with these defaults, in JSON, and return its id."""
    (text,) = connection.execute("SELECT json_patch(?, ?)", (defaults, _json(connection, task))).fetchone()
    id_ = add_run(
        connection,
        name=task["name"],
        queue=task.get("queue"),
        priority=task.get("priority", LOW),
        task=text,
        created_at=time.time(),
        trigger=MANUAL,
        is_held=task.get("hold", False),
        tags=task.get("tags", ()),
    )
    if id_ is None:
        raise AssertionError("only what is known already is added twice")
    return id_


def _unserved(connection: sqlite3.Connection, folder: Folder, stale_after: float) -> str | None:
    """Return why a run will have to wait for a server; None if one is there."""
    moment = time.time() - clock_jump(connection, boot(), Clock().ahead())
    return unserved(*parted(presences(connection), folder, moment, stale_after))


def _json(connection: sqlite3.Connection, value: "Any") -> str:
    """Return a value as JSON, of which SQLite knows all that is needed: Python's own takes longer to import."""
    if isinstance(value, Mapping):
        pairs: Iterator[str] = (f"{_json(connection, key)}:{_json(connection, of)}" for key, of in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, tuple):
        return f"[{','.join(_json(connection, one) for one in value)}]"
    if value is True:
        return "true"
    (text,) = connection.execute("SELECT json_quote(?)", (value,)).fetchone()
    return str(text)
