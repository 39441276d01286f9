"""The history of runs, from which old ones are removed in slices that block the store only briefly."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from aqueue.folder.layout import Folder
from aqueue.store import database
from aqueue.store.store import Store

_SLICE: Final = 500
"""The number of runs removed in one transaction."""

_PRUNED: Final = ".pruned"

_DAY: Final = 86400.0
_IS_DUE: Final = "SELECT NOT EXISTS (SELECT 1 FROM history WHERE pruned_at > :now - :day AND pruned_at <= :now)"


def take_daily_turn(connection: sqlite3.Connection, folder: Folder, now: float) -> bool:
    """Return True if nobody has removed old runs for a day: then it is for this server to do."""
    values = {"now": now, "day": _DAY}
    if not connection.execute(_IS_DUE, values).fetchone()[0]:
        return False
    with database.transaction(connection, folder):
        # Another server may have been faster.
        (is_due,) = connection.execute(_IS_DUE, values).fetchone()
        if is_due:
            connection.execute("DELETE FROM history")
            connection.execute("INSERT INTO history (pruned_at) VALUES (:now)", values)
    return bool(is_due)


def forget(
    connection: sqlite3.Connection,
    folder: Folder,
    before: float,
    chosen: Sequence[int] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Remove runs that ended before a time, and their files.

    Args:
        chosen: the ids of the runs to remove; None: all, and schedules that ended before that time.
        is_stopped: returns True to stop before all are removed.

    Returns:
        the number of runs.
    """
    # An earlier prune may have been killed before it removed them all.
    _remove(Path(entry) for entry in os.scandir(folder.runs) if entry.name.endswith(_PRUNED))
    # Sync to disk once at the end, when nobody waits for the store.
    connection.execute("PRAGMA synchronous = NORMAL")
    count = 0
    stay: set[int] = set()
    left = None if chosen is None else [*chosen]
    while not is_stopped():
        if left is None:
            # Search outside the transaction, because it may pass over many runs that stay.
            with database.snapshot(connection, folder):
                ids = Store(connection).runs.ended_before(before, _SLICE, without=stay)
        else:
            ids, left = left[:_SLICE], left[_SLICE:]
        if not ids:
            break
        forgotten = _forget_slice(connection, folder, ids, before)
        stay.update(set(ids) - set(forgotten))
        count += len(forgotten)
    if chosen is None:
        with database.transaction(connection, folder):
            Store(connection).schedules.forget(before)
            Store(connection).outbox.forget(before)
    database.make_durable(folder)
    return count


def _forget_slice(
    connection: sqlite3.Connection, folder: Folder, ids: Sequence[int], before: float
) -> Sequence[int]:
    """Remove those of a few runs that ended before a time, and return their ids."""
    moved: list[Path] = []
    with database.transaction(connection, folder):
        forgotten = Store(connection).runs.forget_ended(
            ids, before, lambda name: os.path.lexists(folder.incoming / name)
        )
        # Before the transaction ends, so that no files are left of a run the store does not know.
        for id_ in forgotten:
            with contextlib.suppress(FileNotFoundError):
                moved.append(folder.run_dir(id_).rename(folder.runs / f"{id_}{_PRUNED}"))
    _remove(moved)
    return forgotten


def _remove(directories: Iterable[Path]) -> None:
    for directory in directories:
        if directory.is_symlink():
            # A run can replace its directory by a link; the target is not aqueue's.
            directory.unlink(missing_ok=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
