"""Pruning of old runs, in slices that block the store only briefly."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.client.session import Warn, config_in_force, forget_unused_code, living_servers, now, opened
from aqueue.folder.layout import Folder
from aqueue.store import database, vacuum
from aqueue.store.store import Store

_SLICE: Final = 500
"""The number of runs pruned in one transaction."""

_PRUNED: Final = ".pruned"


_SERVED_SECONDS = 0.05
"""Seconds, about, that a server may have to wait for the database once."""

_UNSERVED_SECONDS = 3.0
"""The same while no server is up. One that starts meanwhile waits longer than this before it gives up."""


class Pruned(NamedTuple):
    """The outcome of pruning.

    Attributes:
        runs: the number of pruned runs.
        bytes_left: unused bytes that stay in the database for later runs.
        database: its path.
        is_served: True if a server is up, so that these bytes cannot be freed.
    """

    runs: int
    bytes_left: int
    database: Path
    is_served: bool


def prune(folder: Folder, keep: float | None, warn: Warn) -> Pruned:
    """Remove old runs and their files, and free their disk space.

    Args:
        keep: seconds for which ended runs are kept; None: as configured.
        warn: is told of an error in the configuration.
    """
    before = now() - (config_in_force(folder, warn).keep if keep is None else keep)
    with opened(folder) as connection:
        count = forget(connection, folder, before)
        folder.ring()
        folder.notify_clients()
        with database.snapshot(connection, folder):
            is_served = bool(living_servers(Store(connection), folder))
        left = vacuum.give_back(connection, folder, _SERVED_SECONDS if is_served else _UNSERVED_SECONDS)
    forget_unused_code(folder, warn)
    return Pruned(count, left, folder.database, is_served)


def forget(connection: sqlite3.Connection, folder: Folder, before: float) -> int:
    """Remove runs and schedules that ended before a time, and the files of these runs.

    Returns:
        the number of runs.
    """
    # An earlier prune may have been killed before it removed them all.
    _remove(Path(entry) for entry in os.scandir(folder.runs) if entry.name.endswith(_PRUNED))
    # Sync to disk once at the end, when nobody waits for the store.
    connection.execute("PRAGMA synchronous = NORMAL")
    count = 0
    stay: set[int] = set()
    while True:
        # Search outside the transaction, because it may pass over many runs that stay.
        with database.snapshot(connection, folder):
            ids = Store(connection).runs.ended_before(before, _SLICE, without=stay)
        if not ids:
            break
        moved: list[Path] = []
        with database.transaction(connection, folder):
            forgotten = Store(connection).runs.forget_ended(ids, before, os.listdir(folder.incoming))  # noqa: PTH208 - names
            # Before the transaction ends, so that no files are left of a run the store does not know.
            for id_ in forgotten:
                with contextlib.suppress(FileNotFoundError):
                    moved.append(folder.run_dir(id_).rename(folder.runs / f"{id_}{_PRUNED}"))
        _remove(moved)
        stay.update(set(ids) - set(forgotten))
        count += len(forgotten)
    with database.transaction(connection, folder):
        Store(connection).schedules.forget(before)
    database.make_durable(folder)
    return count


def _remove(directories: Iterable[Path]) -> None:
    for directory in directories:
        if directory.is_symlink():
            # A run can replace its directory by a link; the target is not aqueue's.
            directory.unlink(missing_ok=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
