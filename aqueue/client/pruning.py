"""Pruning of old or selected runs."""

import contextlib
import math
from pathlib import Path
from typing import NamedTuple

from aqueue.client.filing_away import file_away
from aqueue.client.selection import Selection, selected
from aqueue.client.session import (
    Warn,
    config_in_force,
    forget_unused_code,
    living_servers,
    logs_in_use,
    now,
    opened,
    reading,
)
from aqueue.errors import RunError
from aqueue.folder import server_logs
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Run
from aqueue.store import database, history, vacuum
from aqueue.store.store import Store

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


def prune(folder: Folder, keep: float | None, warn: Warn, selection: Selection | None = None) -> Pruned:
    """Remove old or selected runs and their files, and free their disk space.

    Args:
        keep: seconds for which ended runs are kept; None: as configured, and 0 for selected ones.
        warn: is told of an error in the configuration.
        selection: the runs to remove; None: all that are old, and the logs of servers that are as old.

    Raises:
        RunError: a run that is named is not over, or does not exist.
    """
    before = now() - (config_in_force(folder, warn).keep if keep is None else keep)
    chosen = None
    if selection is not None:
        runs = to_prune(folder, keep, selection)
        chosen = [run.id for run in runs]
        # Where the disk is full, the runs whose files cannot be moved stay.
        with reading(folder) as store, contextlib.suppress(OSError):
            file_away(folder, store, map(store.runs.source, runs))
    with opened(folder) as connection:
        if chosen is None:
            with database.snapshot(connection, folder):
                in_use = logs_in_use(Store(connection), folder)
            server_logs.remove_old(folder, in_use, before=before)
        count = history.forget(connection, folder, before if chosen is None else _latest(keep), chosen)
        folder.ring()
        folder.notify_clients()
        with database.snapshot(connection, folder):
            is_served = bool(living_servers(Store(connection), folder))
        left = vacuum.give_back(connection, folder, _SERVED_SECONDS if is_served else _UNSERVED_SECONDS)
    forget_unused_code(folder, warn)
    return Pruned(count, left, folder.database, is_served)


def to_prune(folder: Folder, keep: float | None, selection: Selection) -> list[Run]:
    """Return the runs that a selection means to remove.

    Args:
        keep: leave out runs that ended within so many seconds; None: none.

    Raises:
        RunError: a run that is named is not over, or does not exist.
    """
    with reading(folder) as store:
        runs = selected(store, folder, selection, sorted(ENDED))
    for run in runs:
        if run.state not in ENDED:
            message = f"run {run.id} cannot be pruned: it is {run.state}; nothing was changed"
            raise RunError(message, f"`aqueue cancel {run.id}` ends it")
    return [run for run in runs if (run.finished_at or 0.0) < _latest(keep)]


def _latest(keep: float | None) -> float:
    """Return the time before which selected runs must have ended."""
    return math.inf if keep is None else now() - keep
