"""The verbs that start and stop servers in the background."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_warning
from aqueue.cli.options import (
    COUNT,
    IDLE_TIMEOUT,
    directory_option,
    ignore_schedules_option,
    owned_option,
    refuse_both,
    served_option,
)
from aqueue.cli.output import report, say
from aqueue.cli.unclaimed import folder_to_serve, yes_option
from aqueue.client.session import (
    awake_and_silent,
    changing,
    config_in_force,
    config_or_default,
    environment,
    living_servers,
    now,
    opened,
)
from aqueue.client.without_room import dismiss_without_room
from aqueue.errors import AqueueError, DiskFullError
from aqueue.executors.local.procfs import is_alive
from aqueue.folder import server_locks
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.gpu import GpuId, owned
from aqueue.model.run import State
from aqueue.model.server import Leaving, Server
from aqueue.store.database import snapshot, transaction
from aqueue.store.store import Store

IDLE_SECONDS = 10.0
"""After how long without work a server in the background exits, unless told otherwise; as DVC's workers do."""

# Not from the directory of the folder: of all options, only this one leaves every way to install aqueue working.
_SERVE = (sys.executable, "-P", "-m", "aqueue", "serve")
_OF_A_RUN = ("AQUEUE_RUN_DIR", "AQUEUE_ATTEMPT")
"""By these, what a run has started is known for its own."""
_LOGS_KEPT = 10
_LOOK_AGAIN = 0.02
_LAST_LINES = 5


@click.command()
@directory_option
@click.option("-j", "--jobs", type=COUNT, metavar="N", help="The most runs at a time; default 1.")
@click.option("--idle-timeout", type=IDLE_TIMEOUT, help="Exit after so long without work: 10s, or never.")
@ignore_schedules_option
@served_option
@owned_option
@yes_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Have the server write more into its log.")
def start(
    directory: str | None,
    jobs: int | None,
    idle_timeout: float | None,
    ignore_schedules: bool,
    queues: tuple[str, ...] | None,
    gpus: tuple[GpuId, ...] | None,
    is_meant: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Start a server in the background; return once it serves.

    Where a server is up already, none is started: one with fewer jobs than N gets as many, one with more keeps
    them. The server exits when nothing has been queued or running for a while.
    """
    refuse_both(quiet, verbose)
    folder = folder_to_serve(directory, is_meant=is_meant)
    folder.create()
    with server_locks.alone(folder.state):
        config = config_or_default(folder)
        if idle_timeout is None:
            idle_timeout = IDLE_SECONDS if config.idle_timeout is None else config.idle_timeout
        said = _use_living(folder, config, jobs, idle_timeout, queues, gpus)
        if said is None:
            config_in_force(folder, say_warning, to_serve=True)
            said = _start(folder, _options(jobs, idle_timeout, ignore_schedules, queues, gpus, verbose))
    if not quiet:
        report(said)


@click.command()
@directory_option
@click.option("--kill", is_flag=True, help="Stop what runs, too; it is aborted.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Print more.")
def stop(directory: str | None, kill: bool, quiet: bool, verbose: bool) -> None:
    """Have all servers of the folder exit once what runs is over; return when they are gone.

    What is queued stays queued.
    """
    refuse_both(quiet, verbose)
    folder = find_folder(directory)
    leaving = Leaving.AT_ONCE if kill else Leaving.WHEN_DONE
    servers: list[Server] = []
    # One that is just being started is waited for.
    with server_locks.alone(folder.state):
        try:
            with changing(folder) as store:
                servers = living_servers(store, folder)
                running = {server.id: len(store.servers.held_by(server.id)) for server in servers}
                orphans = len(store.runs.in_state(State.RUNNING)) - sum(running.values())
                for server in servers:
                    store.servers.send_away(server.id, leaving)
        except DiskFullError as error:
            dismiss_without_room(folder, servers, leaving, error)
    if quiet:
        _wait_until_gone(folder, servers, lambda _: None)
        return
    for server in servers:
        if verbose or (running[server.id] and not kill):
            runs = _counted(running[server.id])
            say(f"server {server.pid} has {runs} to {'stop' if kill else 'wait for'}", err=True)
    if not servers:
        goes_on = f"; {_counted(orphans)} without one until `aqueue serve` starts one" if orphans else ""
        report(f"no server is up{goes_on}")
    _wait_until_gone(folder, servers, report)


def _counted(runs: int) -> str:
    return f"{runs} run{'' if runs == 1 else 's'}"


def _wait_until_gone(folder: Folder, servers: list[Server], say: Callable[[str], None]) -> None:
    """Wait until servers are gone; say so, and also when one gives no sign of life while it is waited for."""
    left = {server.id: server for server in servers}
    said: set[str] = set()
    stale_after = config_or_default(folder).stale_after
    with opened(folder) as connection:
        while left:
            for id_, server in list(left.items()):
                if not server_locks.is_up(folder.servers, id_) and not is_alive(server.pid):
                    del left[id_]
                    say(f"server {server.pid} is gone")
            time.sleep(_LOOK_AGAIN)
            with snapshot(connection, folder):
                _, silent = awake_and_silent(Store(connection), folder, stale_after)
            for server in silent:
                if server.id in left.keys() - said:
                    said.add(server.id)
                    hint = f"if it is stopped, `kill -CONT {server.pid}` wakes it"
                    say(f"server {server.pid} gives no sign of life; {hint}")


def _use_living(
    folder: Folder,
    config: Config,
    jobs: int | None,
    idle_timeout: float,
    queues: tuple[str, ...] | None,
    gpus: tuple[GpuId, ...] | None,
) -> str | None:
    """Ask a server that is up to stay so, with as many jobs.

    Returns:
        what was done; None if there is none that stays.
    """
    with opened(folder) as connection, transaction(connection, folder):
        store = Store(connection)
        awake, _ = awake_and_silent(store, folder, config.stale_after)
        staying = [server for server in awake if _does_for(server, queues, gpus)]
        if not staying:
            return None
        server = max(staying, key=lambda server: server.most_jobs)
        for other in staying:
            store.servers.want(other.id, (jobs or 0) if other is server else 0, idle_timeout, now())
    folder.ring()
    if server.disabled_by is not None:
        return f"server {server.pid} is up already, but starts nothing: queues are disabled ({server.disabled_by})"
    if jobs is None or jobs == server.most_jobs:
        return f"server {server.pid} is up already, {server.most_jobs} at a time"
    if jobs < server.most_jobs:
        return f"server {server.pid} is up already, {server.most_jobs} at a time: nothing changed"
    return f"server {server.pid} is up already: {jobs} at a time now, {server.most_jobs} before"


def _does_for(server: Server, queues: tuple[str, ...] | None, gpus: tuple[GpuId, ...] | None) -> bool:
    """Whether a server serves these queues and has just these GPUs; all, if none are named."""
    if server.owns != owned(gpus, environment()) or server.leaving is not None:
        return False
    return server.queues is None if queues is None else all(map(server.serves, queues))


def _options(
    jobs: int | None,
    idle_timeout: float,
    ignore_schedules: bool,
    queues: tuple[str, ...] | None,
    gpus: tuple[GpuId, ...] | None,
    verbose: bool,
) -> list[str]:
    options = ["--idle-timeout", "never" if math.isinf(idle_timeout) else f"{idle_timeout:.3f}"]
    if jobs is not None:
        options += ["--jobs", str(jobs)]
    if ignore_schedules:
        options.append("--ignore-schedules")
    if gpus is not None:
        options += ["--gpus", ",".join(map(str, gpus))]
    for queue in queues or ():
        options += ["--queue", queue]
    return [*options, "--verbose"] if verbose else options


def _start(folder: Folder, options: list[str]) -> str:
    """Start a server of its own session; it tells through a pipe that it serves."""
    log = _new_log(folder)
    reader, writer = os.pipe()
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - aqueue itself
            [*_SERVE, "--dir", str(folder.path), "--log", str(log), "--ready", str(writer), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # If a run has started it, it is nevertheless no process of that run.
            env={name: value for name, value in os.environ.items() if name not in _OF_A_RUN},
            start_new_session=True,
            pass_fds=[writer],
            cwd=folder.parent,
        )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if pipe.read():
            # It goes on by itself; there is nobody here to wait for it any more.
            process.returncode = 0
            return f"server {process.pid} is up; its log is {os.path.relpath(log)}"
    process.wait()
    raise AqueueError("the server did not start", _tail(log))


def _new_log(folder: Folder) -> Path:
    """A file for what a new server has to say; logs of servers that are gone long ago are removed."""
    folder.logs.mkdir(mode=0o700, exist_ok=True)
    with opened(folder) as connection, snapshot(connection, folder):
        used = {server.log for server in living_servers(Store(connection), folder)}
    old = sorted(folder.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[_LOGS_KEPT - 1 :]:
        if str(path) not in used:
            path.unlink(missing_ok=True)
    log = folder.logs / f"server-{os.urandom(4).hex()}.log"
    log.touch(mode=0o600, exist_ok=False)
    return log


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
