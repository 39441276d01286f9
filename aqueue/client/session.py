"""The base of the client: finding the folder, using its store, selecting runs."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aqueue.client import signs_of_life
from aqueue.clock import Clock, boot
from aqueue.errors import AqueueError, DatabaseError, FolderError, QueueError
from aqueue.folder import find as folder
from aqueue.folder import server_locks
from aqueue.folder.layout import Folder
from aqueue.formats import last_good_config
from aqueue.isolation import origin
from aqueue.isolation.origin import Origin
from aqueue.model.config import Config
from aqueue.model.server import Server
from aqueue.model.submission import Submission
from aqueue.store import database
from aqueue.store.store import Store
from aqueue.store.work import Work

if TYPE_CHECKING:
    from aqueue.isolation.pins import Pins, Snapshots

T = TypeVar("T")

Warn = Callable[[str], None]
"""A function that takes a warning for the user, of one or more lines."""


def environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return os.environ


def working_dir() -> Path:
    """Return the current directory.

    Raises:
        FolderError: it no longer exists.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise FolderError("the current directory no longer exists", "cd to one that does") from None


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def present(store: Store) -> float:
    """Return the time by the store's clock.

    It is the wall clock, unless that was set and no server has noticed yet.
    """
    return now() - store.servers.clock_jump(boot(), Clock().ahead())


@contextmanager
def opened(where: Folder, refuse_if_removed: Callable[[], None] | None = None) -> Iterator[sqlite3.Connection]:
    """Return a connection to the store of a folder, for several transactions.

    Args:
        refuse_if_removed: raises an error if the folder was removed or replaced since the caller found it; None:
            since now.
    """
    check = refuse_if_removed or watch_for_removal(where)
    try:
        # A program may resume an iteration in another thread, but never in two at once.
        connection = database.connect(where, check_same_thread=False, is_durable=True)
    except DatabaseError:
        require(where)
        if refuse_if_removed is not None:
            refuse_if_removed()
        raise
    with closing(connection):
        if refuse_if_removed is not None:
            # It may be the store of another folder in its place.
            refuse_if_removed()
        try:
            yield connection
        except DatabaseError:
            # SQLite only sees that its files are gone.
            check()
            raise


@contextmanager
def changing(where: Folder) -> Iterator[Store]:
    """Yield the store in one write transaction, and wake servers and clients afterwards."""
    with opened(where) as connection, database.transaction(connection, where):
        yield Store(connection)
    where.ring()
    where.notify_clients()


@contextmanager
def reading(where: Folder) -> Iterator[Store]:
    """Yield a consistent snapshot of the store."""
    with opened(where) as connection, database.snapshot(connection, where):
        yield Store(connection)


def require(where: Folder) -> None:
    """Refuse a folder that was there and is no longer.

    Raises:
        FolderError: it was removed or moved.
    """
    if not where.state.is_dir():
        raise _removed(where)


def watch_for_removal(where: Folder) -> Callable[[], None]:
    """Return a function that refuses a folder that has been removed or replaced since this call.

    Call it before the store is opened: a connection goes on with what nobody else sees any more.
    """
    before = _identity(where)

    def check() -> None:
        if before is None or _identity(where) != before:
            raise _removed(where)

    return check


def _identity(where: Folder) -> tuple[int, int] | None:
    try:
        status = where.database.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _removed(where: Folder) -> FolderError:
    return FolderError(f"the folder {where.path} was removed or replaced", "if it was moved, name its new place")


def living_servers(store: Store, where: Folder) -> list[Server]:
    """Return the servers that are up."""
    return [server for server in store.servers.all() if server_locks.is_up(where.servers, server.id)]


def logs_in_use(store: Store, where: Folder) -> set[str]:
    """Return the paths of the logs of background servers that are up."""
    return {server.log for server in living_servers(store, where) if server.log}


def awake_and_silent(store: Store, where: Folder, stale_after: float) -> tuple[list[Server], list[Server]]:
    """Return the servers that are up: those that respond, and those that do not."""
    return signs_of_life.parted(store.servers.all(), where, present(store), stale_after)


def keep_code(
    where: Folder, requests: Sequence[Submission], warn: Warn, here: Origin | None = None
) -> list[Submission]:
    """Return the requests with snapshots of the code as it is now.

    Args:
        warn: is called with warnings for the user.
        here: the origin of the checkout this command runs in; runs of its code use the same snapshot.

    Raises:
        SnapshotError, DiskFullError: a snapshot cannot be taken.
    """
    if not any(request.task.isolate for request in requests):
        return list(requests)
    with _keeper(where, warn, here) as keeper:
        taken: Snapshots = {}
        return [keeper.with_snapshot(request, taken) for request in requests]


def forget_unused_code(where: Folder, warn: Warn) -> None:
    """Remove snapshots that no run needs any more."""
    with _keeper(where, warn) as keeper:
        keeper.remove_unused()


@contextmanager
def _keeper(where: Folder, warn: Warn, here: Origin | None = None) -> Iterator["Pins"]:
    # Imported here because it is rarely needed.
    from aqueue.isolation.pins import Pins

    with opened(where) as connection:

        def write(work: Work[T]) -> T:
            with database.transaction(connection, where):
                return work(connection)

        yield Pins(where.scratch, write, warn, here)


def config_in_force(where: Folder, warn: Warn, *, to_serve: bool = False) -> Config:
    """Return the configuration; if it has an error, warn and return the last good one.

    Args:
        warn: is called with the error.
        to_serve: for a server that starts.

    Raises:
        FileError, UsageError: it has an error, and there is no last good one.
    """
    return _warned(last_good_config.load(where, environment(), to_serve=to_serve), warn)


def config_or_default(where: Folder, warn: Warn | None = None) -> Config:
    """Return the configuration; if it has an error, the last good one, else the defaults.

    Args:
        warn: is called if the configuration has an error.
    """
    try:
        return _warned(last_good_config.load(where, environment(), keeps=False), warn)
    except AqueueError as error:
        if warn:
            warn(f"{error.message}; the defaults are assumed")
        return Config()


def _warned(loaded: last_good_config.Loaded, warn: Warn | None) -> Config:
    if warn:
        for text in loaded.complaints():
            warn(text)
    return loaded.config


def refuse_if_disabled(config: Config) -> None:
    """Check that queues are enabled.

    Raises:
        QueueError: they are disabled.
    """
    if config.disabled_by is not None:
        raise QueueError(
            f"queues are disabled ({config.disabled_by}): nothing can be queued",
            "enable them first; queued runs wait for that, too",
        )


def _folder_of_run() -> str | None:
    """Return the folder of the run that this process is part of; None if it is not part of one."""
    state = Path(environment().get("AQUEUE_RUN_DIR", "")).parent.parent
    return str(state.parent) if state.name == ".aqueue" and state.is_dir() else None


def find_folder(directory: str | None) -> Folder:
    """Return the folder to use, which must exist.

    Args:
        directory: its path; None: the folder of the run this process is part of, else the nearest.

    Raises:
        FolderError: there is none, or it is not safe to use.
    """
    here = working_dir()
    try:
        return folder.find(directory, environment(), here)
    except FolderError:
        if directory or environment().get("AQUEUE_DIR") or (of_run := _folder_of_run()) is None:
            raise
    return folder.find(of_run, {}, here)


def create(where: Folder) -> None:
    """Create a folder, and its store; do nothing to one that exists."""
    where.create()
    database.connect(where).close()


def folder_to_create(directory: str | None, default: str | None = None) -> Folder:
    """Return the folder to use, which may not exist yet.

    Args:
        directory: its path.
        default: the path if nothing names one; None: the folder that `find_folder` returns.

    Raises:
        FolderError: it is not safe to use.
    """
    named = directory or environment().get("AQUEUE_DIR") or default
    if not named and origin.find(str(working_dir())) is not None:
        # A folder in a checkout would be removed with it.
        return find_folder(None)
    return folder.to_create(named, environment(), working_dir())
