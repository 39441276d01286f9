"""The part of a configuration that `aqueue add` needs, saved beside the last good one.

Parsing `aqueue.yaml` would take longer than all else that `aqueue add` does. So whoever has parsed it saves the
result as JSON, together with the text, and it applies as long as `aqueue.yaml` has this text. Nothing here takes
long to import.
"""

import sqlite3
from collections import namedtuple

import aqueue
from aqueue.folder import config_content
from aqueue.folder.layout import Folder
from aqueue.model.basics import STALE_AFTER

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aqueue.model.config import Config

_READ: "Final" = """
SELECT json_extract(saved, '$.task'), json_extract(saved, '$.stale_after')
FROM (SELECT :saved AS saved)
WHERE json_extract(saved, '$.version') = :version
  AND json_extract(saved, '$.text') = :text
  AND json_extract(saved, '$.enabled')
  AND (
    :queue IS NULL
    OR json_array_length(saved, '$.queues') = 0
    OR :queue IN (SELECT value FROM json_each(saved, '$.queues'))
  )
"""
"""SQLite reads it: Python's own JSON takes longer to import."""


class ConfigForAdd(namedtuple("ConfigForAdd", ("task", "stale_after"))):  # noqa: PYI024 - `typing` is slow to import
    """The part of a configuration that `aqueue add` needs.

    Attributes:
        task: a task as JSON, whose name and command are still empty.
        stale_after: the age at which a heartbeat is stale.
    """

    __slots__ = ()
    task: str
    stale_after: float


def as_json(content: bytes, config: "Config") -> bytes:
    """Return the part of a configuration that `aqueue add` needs, as it is saved.

    Args:
        content: its text.
        config: the configuration, without overrides from the environment.
    """
    # Imported here: reading needs neither.
    import msgspec

    from aqueue.model.task import Task

    return msgspec.json.encode(
        {
            "version": aqueue.__version__,
            "text": content.decode(),
            "enabled": config.disabled_by is None,
            "queues": list(config.queues),
            "stale_after": config.stale_after,
            "task": Task(name="", command="", **config.defaults_of_commands()),
        }
    )


def read(connection: sqlite3.Connection, folder: Folder, queue: str | None) -> ConfigForAdd | None:
    """Return what is saved of the configuration in force.

    Args:
        connection: any.
        queue: the queue of the new run; None for the local queue.

    Returns:
        None if it does not apply, or if queues are disabled, or others than this one are configured.

    Raises:
        OSError, sqlite3.Error, UnicodeError: nothing is saved, or it cannot be read.
        FileError: `aqueue.yaml` cannot be read.
    """
    content = config_content.read(folder)
    if not content:
        return ConfigForAdd(task="{}", stale_after=STALE_AFTER)
    if _content(folder.last_good_text) != content:
        return None
    values = {
        "saved": _content(folder.config_for_add_text).decode(),
        "version": aqueue.__version__,
        "text": content.decode(),
        "queue": queue,
    }
    row = connection.execute(_READ, values).fetchone()
    return None if row is None else ConfigForAdd(*row)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes long to import
        return file.read()
