"""What the commands share: finding the folder, using its store, naming runs."""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from aqueue import db, folder, lastgood, origin, presence
from aqueue.cli.output import say
from aqueue.cli.types import F
from aqueue.clock import Clock, boot
from aqueue.config import Config
from aqueue.errors import AqueueError, FolderError, QueueError, RunError
from aqueue.folder import Folder
from aqueue.models import Run, Server, Task
from aqueue.origin import Origin
from aqueue.placement import never
from aqueue.requests import Request
from aqueue.store import Store

if TYPE_CHECKING:
    from aqueue.keeper import Keeper, Taken

T = TypeVar("T")

_SHOWN = 5


def directory_option(command: F) -> F:
    """Give a command the option `--dir`, as `directory`."""
    return click.option("--dir", "directory", metavar="DIR", help="The folder to use.")(command)


def refuse_both(quiet: bool, verbose: bool) -> None:
    """Refuse `-q` beside `-v`.

    Raises:
        UsageError: both are given.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v exclude each other")


def environment() -> Mapping[str, str]:
    """The environment of this command."""
    return os.environ


def find_folder(directory: str | None) -> Folder:
    """The folder that a command is about; `directory` is what its own `--dir` says.

    Raises:
        FolderError: there is none.
    """
    named, here = directory or outer_directory(), working_dir()
    try:
        return folder.find(named, environment(), here)
    except FolderError:
        if named or environment().get("AQUEUE_DIR") or (of_run := _folder_of_run()) is None:
            raise
    return folder.find(of_run, {}, here)


def folder_to_create(directory: str | None, default: str | None = None) -> Folder:
    """The folder that a command is about which may create it.

    Args:
        directory: what its own `--dir` or argument says.
        default: what is taken if nothing names one; None: the one that other commands would find.
    """
    named = directory or outer_directory() or environment().get("AQUEUE_DIR") or default
    if not named and origin.find(str(working_dir())) is not None:
        # What a checkout has for a folder goes with it.
        return find_folder(None)
    return folder.to_create(named, environment(), working_dir())


def working_dir() -> Path:
    """The directory in which this command was given.

    Raises:
        FolderError: it is not there any more.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise FolderError("this directory is not there any more", "cd to one that is") from None


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def present(store: Store) -> float:
    """Return the time by the clock that the store goes by.

    That is the wall clock, unless it was set and no server has noticed yet.
    """
    return now() - store.clock_jump(boot(), Clock().ahead())


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


def awake_and_silent(store: Store, where: Folder, stale_after: float) -> tuple[list[Server], list[Server]]:
    """The servers that are up: those that give signs of life, and those that do not."""
    awake: list[Server] = []
    silent: list[Server] = []
    moment = present(store)
    for server in living_servers(store, where):
        (silent if moment - server.heartbeat_at > stale_after else awake).append(server)
    return awake, silent


def say_if_unserved(store: Store, where: Folder) -> None:
    """Tell a person whose run will have to wait for a server."""
    awake, silent = awake_and_silent(store, where, config_or_default(where).stale_after)
    if silent and not awake:
        say(f"server {silent[0].pid} gives no sign of life: it waits until one does", err=True)
    elif not awake:
        say("no server is up: it waits until `aqueue serve` starts one", err=True)
    elif all(server.leaving is not None for server in awake):
        say(f"server {awake[0].pid} is leaving: it waits until `aqueue serve` starts another", err=True)


def say_if_lacking(store: Store, config: Config, task: Task) -> None:
    """Warn a person whose run asks for GPUs that there are not, as far as a server has seen."""
    look = store.look() if task.demand else None
    if look is not None and task.demand is not None and (why := never(task.demand, look, config.gpus)):
        say_warning(f"{task.name} {why}")


def keep_code(where: Folder, requests: Sequence[Request], here: Origin | None = None) -> list[Request]:
    """The requests, each of which knows the code that its runs need, as it is now.

    Args:
        here: the origin of the checkout in which this command was given; runs of its code have the very same.

    Raises:
        SnapshotError, DiskFullError: some of it cannot be kept.
    """
    if not any(request.task.isolate for request in requests):
        return list(requests)
    with _keeper(where, here) as keeper:
        taken: Taken = {}
        return [keeper.keep(request, taken) for request in requests]


def forget_unused_code(where: Folder) -> None:
    """Remove what keeps code that no run needs any more."""
    with _keeper(where) as keeper:
        keeper.forget_unused()


@contextmanager
def _keeper(where: Folder, here: Origin | None = None) -> Iterator["Keeper"]:
    # Imported here: it is seldom needed.
    from aqueue.keeper import Keeper

    with opened(where) as connection:

        def write(work: db.Work[T]) -> T:
            with db.transaction(connection, where):
                return work(connection)

        yield Keeper(where.scratch, write, say_warning, here)


def say_warning(text: str) -> None:
    """Tell a person what they may not have meant."""
    say(text, err=True, head=click.style("warning: ", fg="yellow"))


def config_in_force(where: Folder, *, to_serve: bool = False) -> Config:
    """The configuration; where it has an error in it, the last good one, and a person is told.

    Args:
        to_serve: for a server that starts.

    Raises:
        FileError, UsageError: it has an error in it, and no last good one is known.
    """
    loaded = lastgood.load(where, environment(), to_serve=to_serve)
    for text in loaded.complaints():
        say_warning(text)
    return loaded.config


def config_or_default(where: Folder, *, warn: bool = False) -> Config:
    """The configuration; where it has an error in it the last good one, or the default where none is known.

    Args:
        warn: say so, because what is shown may not be what a person means.
    """
    try:
        return config_in_force(where) if warn else lastgood.load(where, environment()).config
    except AqueueError as error:
        if warn:
            say_warning(f"{error.message}; what follows is as if there were no configuration")
        return Config()


def refuse_if_disabled(config: Config) -> None:
    """Queue nothing where queues are disabled.

    Raises:
        QueueError: they are.
    """
    if config.disabled_by is not None:
        raise QueueError(
            f"queues are disabled ({config.disabled_by}): nothing can be queued",
            "enable them first; what is queued already waits for that, too",
        )


def complete_queue(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """The queues that begin with what was typed so far."""
    try:
        folder = find_folder(ctx.params.get("directory"))
        with reading(folder) as store:
            queues = {name for name, _ in store.queues()} | store.paused()
        queues.update(config_or_default(folder).queues)
    except Exception:
        return []
    return sorted(queue for queue in queues if queue.startswith(incomplete))


def complete_schedule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """The schedules that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            names = [stored.name for stored in store.schedules()]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """The ids of the latest runs that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            runs = store.select(limit=200, newest_first=True)
    except Exception:
        return []
    ids = [str(run.id) for run in runs] + [f"{run.name}:{run.run_id}" for run in runs]
    return [text for text in ids if text.startswith(incomplete)]


def complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """The groups that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            groups = store.groups()
    except Exception:
        return []
    return [group for group in groups if group.startswith(incomplete)]


def group_option(command: F) -> F:
    """Give a command the option `--group`, as `group`."""
    return click.option("--group", metavar="NAME", shell_complete=complete_group, help="The runs of this group.")(
        command
    )


def resolve_all(store: Store, written: tuple[str, ...], group: str | None = None) -> list[Run]:
    """The runs that are meant, each once, in the order given.

    Args:
        group: all of whose runs are meant, too.

    Raises:
        RunError: one of them, or the group, does not exist.
    """
    runs = [*map(store.resolve, written)]
    if group is not None:
        runs += store.select(group=group) or _no_group(group)
    return list({run.id: run for run in runs}.values())


def newest_of_each(runs: Sequence[Run]) -> list[Run]:
    """Of runs that have a name in common the one that was queued last."""
    return list({run.name: run for run in sorted(runs, key=lambda run: run.id)}.values())


def _no_group(group: str) -> list[Run]:
    raise RunError(f"there is no group {group}", "`aqueue ls` shows which runs there are")


def _folder_of_run() -> str | None:
    """Return the folder of the run that has given this command; None if none has."""
    state = Path(environment().get("AQUEUE_RUN_DIR", "")).parent.parent
    return str(state.parent) if state.name == ".aqueue" and state.is_dir() else None


def outer_directory() -> str | None:
    """Return the `--dir` that was given before the command; None if none was."""
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    return given if isinstance(given, str) else None


def say_what_hangs_on(count: int, dependents: Sequence[Run]) -> None:
    """Tell a person what was aborted together with `count` runs, because it came after them."""
    if dependents:
        say(f"{listed(dependents)} after {'it' if count == 1 else 'them'}: aborted with that", err=True)


def listed(runs: Sequence[Run]) -> str:
    """The runs, as the beginning of a sentence that goes on with `after`."""
    named = ", ".join(f"{run.id} {run.name}" for run in runs[:_SHOWN])
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return f"run {named} comes" if len(runs) == 1 else f"runs {named}{more} come"
