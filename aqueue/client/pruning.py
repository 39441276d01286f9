"""Forgetting runs that were over long ago: in slices, so that nobody waits long for the store meanwhile."""

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
"""The number of runs that are forgotten in one transaction."""

_PRUNED: Final = ".pruned"


_SERVED_SECONDS = 0.05
"""About how long a server may be kept from its database, for once."""

_UNSERVED_SECONDS = 3.0
"""The same while no server is up, but one may come: it would wait for longer than that."""


class Pruned(NamedTuple):
    """The outcome of pruning.

    Attributes:
        runs: how many.
        bytes_left: of the database that are kept for later runs.
        database: its path.
        is_served: whether a server is up, which keeps them from being given back.
    """

    runs: int
    bytes_left: int
    database: Path
    is_served: bool


def prune(folder: Folder, keep: float | None, warn: Warn) -> Pruned:
    """Forget the runs that were over long ago, remove their files, and give back the room that they took.

    Args:
        keep: for how many seconds what is over is kept; None: as configured.
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
    """Forget the runs and schedules that were over before a moment, and remove the files of those runs.

    Returns:
        how many runs that were.
    """
    # An earlier one may have been killed before it had removed them all.
    _remove(Path(entry) for entry in os.scandir(folder.runs) if entry.name.endswith(_PRUNED))
    # All of it waits for the disk once, at the end, when nobody waits for the store.
    connection.execute("PRAGMA synchronous = NORMAL")
    count = 0
    stay: set[int] = set()
    while True:
        # Looked for outside of the transaction that forgets them: there may be many in between that stay.
        with database.snapshot(connection, folder):
            ids = Store(connection).runs.ended_before(before, _SLICE, without=stay)
        if not ids:
            break
        moved: list[Path] = []
        with database.transaction(connection, folder):
            forgotten = Store(connection).runs.forget_ended(ids, before, os.listdir(folder.incoming))  # noqa: PTH208 - names
            # Before the transaction ends: files of a run that is not known any more would be in the way.
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
            # A run can put one in the place of its directory; what it leads to is not aqueue's.
            directory.unlink(missing_ok=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
