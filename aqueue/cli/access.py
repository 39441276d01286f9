"""What the commands share: finding the folder, using its store, naming runs."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from aqueue import db, folder, presence
from aqueue.folder import Folder
from aqueue.models import Run, Server
from aqueue.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def directory_option(command: F) -> F:
    """Give a command the option `--dir`, as `directory`."""
    return click.option("--dir", "directory", metavar="DIR", help="The folder to use.")(command)


def environment() -> Mapping[str, str]:
    """The environment of this command."""
    return os.environ


def find_folder(directory: str | None) -> Folder:
    """The folder that a command is about; `directory` is what its own `--dir` says.

    Raises:
        FolderError: there is none.
    """
    return folder.find(directory or _outer_directory(), environment(), Path.cwd())


def folder_to_create(directory: str | None, default: str | None = None) -> Folder:
    """The folder that a command is about which may create it.

    Args:
        directory: what its own `--dir` or argument says.
        default: what is taken if nothing names one; None: the one that other commands would find.
    """
    named = directory or _outer_directory() or environment().get("AQUEUE_DIR") or default
    return folder.to_create(named, environment(), Path.cwd())


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


@contextmanager
def opened(where: Folder) -> Iterator[sqlite3.Connection]:
    """A connection to the store of a folder, for several transactions."""
    with closing(db.connect(where)) as connection:
        # A command that says it is done must mean it: this waits for the disk, as a server's commits do not.
        connection.execute("PRAGMA synchronous = FULL")
        yield connection


@contextmanager
def changing(where: Folder) -> Iterator[Store]:
    """The store in one transaction that changes it; wakes those whom it concerns afterwards."""
    with opened(where) as connection, db.transaction(connection, where):
        yield Store(connection)
    where.ring()
    where.tell()


@contextmanager
def reading(where: Folder) -> Iterator[Store]:
    """The store as it is at one moment."""
    with opened(where) as connection, db.snapshot(connection, where):
        yield Store(connection)


def living_servers(store: Store, where: Folder) -> list[Server]:
    """The servers that are up."""
    return [server for server in store.servers() if presence.is_up(where.servers, server.id)]


def say_if_unserved(store: Store, where: Folder) -> None:
    """Tell a person whose run will have to wait for a server."""
    if not living_servers(store, where):
        click.echo("no server is up: it waits until `aqueue serve` starts one", err=True)


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The ids of the latest runs that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            runs = store.select(limit=200, newest_first=True)
    except Exception:
        return []
    ids = [str(run.id) for run in runs] + [f"{run.name}:{run.run_id}" for run in runs]
    return [text for text in ids if text.startswith(incomplete)]


def resolve_all(store: Store, written: tuple[str, ...]) -> list[Run]:
    """The runs that are meant, each once, in the order given.

    Raises:
        RunError: one of them does not exist.
    """
    return list({run.id: run for run in map(store.resolve, written)}.values())


def _outer_directory() -> str | None:
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    return given if isinstance(given, str) else None
