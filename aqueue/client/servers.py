"""Servers in the background: started, stopped, or run for the length of a `with` block."""

import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.client.serve_command import Serving, serve_command
from aqueue.client.session import (
    Warn,
    awake_and_silent,
    changing,
    config_in_force,
    config_or_default,
    environment,
    living_servers,
    logs_in_use,
    now,
    opened,
    require,
)
from aqueue.client.without_room import dismiss_without_room
from aqueue.errors import AqueueError, DiskFullError
from aqueue.folder import server_locks, server_logs
from aqueue.folder.layout import Folder, display_path
from aqueue.model.config import Config
from aqueue.model.gpu import owned
from aqueue.model.run import State
from aqueue.model.server import Leaving, Server
from aqueue.processes import is_alive
from aqueue.store.database import snapshot, transaction
from aqueue.store.store import Store
from aqueue.units import counted, spell

IDLE_SECONDS: Final = 10.0
"""Seconds without work after which a background server exits by default, as DVC's workers do."""

_OF_A_RUN: Final = ("AQUEUE_RUN_DIR", "AQUEUE_ATTEMPT")
"""The variables that mark a process as part of a run."""
_LOGS_KEPT: Final = 10
_CHECK_SECONDS: Final = 0.02
_LAST_LINES: Final = 5


class Up(NamedTuple):
    """A server that is up.

    Attributes:
        said: a sentence about its state and what has changed.
    """

    pid: int
    said: str


class Dismissed(NamedTuple):
    """The servers that were asked to exit.

    Attributes:
        running: the number of running runs of each.
        orphans: the number of running runs without a server.
    """

    servers: list[Server]
    running: list[int]
    orphans: int


def start(folder: Folder, serving: Serving, warn: Warn) -> Up:
    """Start a background server, and return once it serves.

    If one is up already, raise its number of jobs if needed, and ask it to stay.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        AqueueError: the server did not start.
    """
    folder.create()
    with server_locks.exclusive(folder.state):
        config = config_or_default(folder)
        if serving.idle_timeout is None:
            seconds = IDLE_SECONDS if config.idle_timeout is None else config.idle_timeout
            serving = serving._replace(idle_timeout=seconds)
        if up := _use_living(folder, config, serving):
            return up
        config_in_force(folder, warn, to_serve=True)
        process, log = _start(folder, serving)
        # It outlives this process. Setting a code avoids subprocess's warning about that.
        process.returncode = 0
        said = f"server {process.pid} is up; {_stays(serving)}; its log is {display_path(log)}"
        return Up(process.pid, said)


@contextmanager
def serve_meanwhile(folder: Folder, serving: Serving, warn: Warn) -> Iterator[int]:
    """Serve during a `with` block, and yield the server's pid. At the end, wait for running runs.

    If this process is killed, the server leaves, too.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        AqueueError: the server did not start, or the folder was removed.
    """
    require(folder)
    if serving.idle_timeout is None:
        serving = serving._replace(idle_timeout=math.inf)
    held, parent = os.pipe()
    try:
        with server_locks.exclusive(folder.state):
            config_in_force(folder, warn, to_serve=True)
            process, _ = _start(folder, serving, held)
        try:
            yield process.pid
        finally:
            # Not by the context manager of Popen: after Ctrl-C, that does not wait.
            process.terminate()
            process.wait()
    finally:
        os.close(held)
        os.close(parent)


def dismiss(folder: Folder, *, kill: bool = False) -> Dismissed:
    """Ask all servers to exit after running runs end; with `kill`, stop these runs."""
    require(folder)
    leaving = Leaving.AT_ONCE if kill else Leaving.WHEN_DONE
    servers: list[Server] = []
    # Wait for a server that is just being started.
    with server_locks.exclusive(folder.state):
        try:
            with changing(folder) as store:
                servers = living_servers(store, folder)
                running = [len(store.servers.running_on(server.id)) for server in servers]
                orphans = len(store.runs.in_state(State.RUNNING)) - sum(running)
                for server in servers:
                    store.servers.ask_to_leave(server.id, leaving)
        except DiskFullError as error:
            dismiss_without_room(folder, servers, leaving, error)
    return Dismissed(servers, running, orphans)


def wait_until_gone(folder: Folder, servers: list[Server], report: Callable[[str], None]) -> None:
    """Wait until servers are gone.

    Args:
        report: is called for each server that exits or does not respond.
    """
    left = {server.id: server for server in servers}
    said: set[str] = set()
    stale_after = config_or_default(folder).stale_after
    with opened(folder) as connection:
        while left:
            for id_, server in list(left.items()):
                if not server_locks.is_up(folder.servers, id_) and not is_alive(server.pid):
                    del left[id_]
                    report(f"server {server.pid} has exited")
            time.sleep(_CHECK_SECONDS)
            with snapshot(connection, folder):
                _, silent = awake_and_silent(Store(connection), folder, stale_after)
            for server in silent:
                if server.id in left.keys() - said:
                    said.add(server.id)
                    hint = f"if it is suspended, `kill -CONT {server.pid}` resumes it"
                    report(f"server {server.pid} is not responding; {hint}")


def _use_living(folder: Folder, config: Config, serving: Serving) -> Up | None:
    """Ask a server that is up to stay, with at least this many jobs; return None if there is none."""
    jobs = serving.jobs
    with opened(folder) as connection, transaction(connection, folder):
        store = Store(connection)
        awake, _ = awake_and_silent(store, folder, config.stale_after)
        staying = [server for server in awake if _does_for(server, serving)]
        if not staying:
            return None
        server = max(staying, key=lambda server: server.max_jobs)
        for other in staying:
            wanted = (jobs or 0) if other is server else 0
            store.servers.ask_to_stay(other.id, wanted, serving.idle_timeout or 0.0, now())
    folder.ring()
    is_to_stay = serving.idle_timeout == math.inf != server.stays_for
    stays = "; it stays until `aqueue stop` from now on" if is_to_stay else ""
    return Up(server.pid, f"server {server.pid} is up already{_changed(server, jobs)}{stays}")


def _stays(serving: Serving) -> str:
    """Return the phrase that says how long a new server stays."""
    if serving.idle_timeout is None or math.isinf(serving.idle_timeout):
        return "it stays until `aqueue stop`"
    schedules = "" if serving.ignore_schedules else " or schedules"
    return f"it exits after {spell(serving.idle_timeout)} without work{schedules}"


def _changed(server: Server, jobs: int | None) -> str:
    if server.disabled_by is not None:
        return f", but starts nothing: queues are disabled ({server.disabled_by})"
    most = f"up to {counted(server.max_jobs, 'run')} at a time"
    if jobs is None or jobs == server.max_jobs:
        return f", {most}"
    if jobs < server.max_jobs:
        return f", {most}: nothing changed"
    return f": up to {counted(jobs, 'run')} at a time now, {server.max_jobs} before"


def _does_for(server: Server, serving: Serving) -> bool:
    """Return True if a server serves these queues and uses exactly these GPUs; None means all."""
    if server.owns != owned(serving.gpus, environment()) or server.leaving is not None:
        return False
    return server.queues is None if serving.queues is None else all(map(server.serves, serving.queues))


def _start(folder: Folder, serving: Serving, parent: int | None = None) -> "tuple[subprocess.Popen[bytes], Path]":
    """Start a server in its own session, wait until it serves, and return it and its log.

    Args:
        parent: the reading end of a pipe; the server leaves once nobody has the other end open.

    Raises:
        AqueueError: the server did not start.
    """
    log = _new_log(folder)
    reader, writer = os.pipe()
    pipes = {"--ready": writer} if parent is None else {"--ready": writer, "--parent": parent}
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - aqueue itself
            [
                *(*serve_command(folder, serving), "--log", str(log)),
                *(word for option, end in pipes.items() for word in (option, str(end))),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Even if a run starts the server, it is not part of that run.
            env={name: value for name, value in os.environ.items() if name not in _OF_A_RUN},
            start_new_session=True,
            pass_fds=list(pipes.values()),
            cwd=folder.parent,
        )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if pipe.read():
            return process, log
    process.wait()
    raise AqueueError("the server did not start", _tail(log))


def _new_log(folder: Folder) -> Path:
    """Return the log file for a new server, and remove logs of old ones."""
    folder.logs.mkdir(mode=0o700, exist_ok=True)
    with opened(folder) as connection, snapshot(connection, folder):
        in_use = logs_in_use(Store(connection), folder)
    server_logs.remove_old(folder, in_use, most=_LOGS_KEPT - 1)
    log = folder.logs / f"server-{os.urandom(4).hex()}.log"
    log.touch(mode=0o600, exist_ok=False)
    return log


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
