"""Forgetting runs that were over long ago: in slices, so that nobody waits long for the store meanwhile."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aqueue.folder.layout import Folder
from aqueue.store import database
from aqueue.store.lifecycle import Store

_SLICE: Final = 500
"""How many runs are forgotten in one transaction."""

_PRUNED: Final = ".pruned"


def prune(connection: sqlite3.Connection, folder: Folder, before: float) -> int:
    """Forget the runs and schedules that were over before a moment, and remove the files of those runs.

    Returns:
        how many runs that were.
    """
    # An earlier one may have been killed before it had removed them all.
    _remove(Path(entry) for entry in os.scandir(folder.runs) if entry.name.endswith(_PRUNED))
    # All of it waits for the disk once, at the end, when nobody waits for the store.
    connection.execute("PRAGMA synchronous = NORMAL")
    count = last = 0
    while True:
        # Looked for outside of the transaction that forgets them: there may be many in between that stay.
        with database.snapshot(connection, folder):
            ids = Store(connection).ended_before(before, _SLICE, after=last)
        if not ids:
            break
        last = ids[-1]
        moved: list[Path] = []
        with database.transaction(connection, folder):
            forgotten = Store(connection).forget_ended(ids, before, os.listdir(folder.incoming))  # noqa: PTH208 - names
            # Before the transaction ends: files of a run that is not known any more would be in the way.
            for id_ in forgotten:
                with contextlib.suppress(FileNotFoundError):
                    moved.append(folder.run_dir(id_).rename(folder.runs / f"{id_}{_PRUNED}"))
        _remove(moved)
        count += len(forgotten)
    with database.transaction(connection, folder):
        Store(connection).forget_schedules(before)
    database.make_durable(folder)
    return count


def _remove(directories: Iterable[Path]) -> None:
    for directory in directories:
        if directory.is_symlink():
            # A run can put one in the place of its directory; what it leads to is not aqueue's.
            directory.unlink(missing_ok=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
