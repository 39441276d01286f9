"""The commands that create and serve a folder, and that start and stop servers."""

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

import click

from aqueue.cli.context import find_folder, folder_to_create
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option, refuse_both
from aqueue.cli.output import note, report
from aqueue.cli.serving_options import on_stop_option, serving_options
from aqueue.cli.unclaimed import fate_of_files, folder_to_serve
from aqueue.client import servers, session
from aqueue.client.serve_command import Serving
from aqueue.errors import FolderError
from aqueue.folder.layout import Folder, display_path
from aqueue.model.basics import NO_SERVER
from aqueue.model.server import OnStop
from aqueue.units import counted

if TYPE_CHECKING:
    from aqueue.server.service_manager import ServiceManager


@click.command()
@click.argument("directory", metavar="[DIR]", default="", required=False)
def init(directory: str) -> None:
    """Create a folder (default: ./queue)."""
    where = folder_to_create(directory, default="queue")
    is_new = not where.state.exists()
    session.create(where)
    # Imported here because YAML is slow to import.
    from aqueue.client import schemas

    schemas.write(where)
    shown = display_path(where.path)
    report(f"{shown}/ is ready: drop *.yaml files into it, and run `aqueue serve{_named(where, shown)}`")
    if is_new and (fate := fate_of_files(where)):
        print_warning(fate)


def _named(folder: Folder, shown: str) -> str:
    """Return the argument that names a folder to `serve`; empty for the folder that it finds by itself."""
    with contextlib.suppress(FolderError):
        if session.folder_to_create(None).path == folder.path:
            return ""
    return f" {shlex.quote(shown)}"


@click.command()
@click.argument("path", metavar="[DIR]", default="", required=False)
@directory_option
@serving_options(
    idle_timeout="never",
    quiet="Print only what needs your attention.",
    verbose="Print more, such as commands and process ids.",
)
@on_stop_option(OnStop.DRAIN)
@click.option("--drain", is_flag=True, help="Exit when no more runs can start; with 1 if a run failed or is left.")
# For `aqueue start` and `Client.serving`.
@click.option("--log", hidden=True)
@click.option("--ready", type=int, hidden=True)
@click.option("--parent", type=int, hidden=True)
def serve(
    path: str,
    directory: str | None,
    serving: Serving,
    is_meant: bool,
    drain: bool,
    on_stop: OnStop,
    quiet: bool,
    log: str | None,
    ready: int | None,
    parent: int | None,
) -> None:
    """Run the task files in a folder, until Ctrl-C.

    Without DIR, the folder is the nearest queue/, or a new ./queue.

    The first Ctrl-C or SIGTERM starts no more runs and waits for the running ones; the second stops them; the
    third exits at once, and the runs continue until the next server takes them over. With --on-stop, the first
    SIGTERM does one of the others.
    """
    from functools import partial

    import anyio

    from aqueue.cli.console import Narrator
    from aqueue.clock import Clock
    from aqueue.server.server import serve as serve_folder
    from aqueue.server.service_manager import ServiceManager
    from aqueue.server.settings import Options

    _prepare_process()
    manager = ServiceManager.take_from(os.environ)
    options = Options(
        jobs=serving.jobs,
        idle_timeout=serving.idle_timeout,
        drain=drain,
        ignore_schedules=serving.ignore_schedules,
        on_stop=on_stop,
        queues=serving.queues,
        gpus=serving.gpus,
        log=log,
        when_ready=partial(_signal_ready, ready, manager),
        manager=manager,
        parent=parent,
    )
    narrator = Narrator(quiet=quiet, verbose=serving.verbose)
    has_done_all = anyio.run(
        serve_folder,
        folder_to_serve(path or directory, is_meant=is_meant),
        options,
        Clock(),
        narrator.report,
        # It makes short runs a tenth faster.
        backend_options={"use_uvloop": _has_uvloop()},
    )
    manager.is_stopping()
    if drain and not has_done_all:
        raise click.exceptions.Exit(1)


def _prepare_process() -> None:
    """Set up the files, signals and garbage collection of a server, after its modules are imported."""
    import gc
    import signal

    from aqueue.server.open_files import close_inherited_files_on_exec

    close_inherited_files_on_exec()
    # The kernel sends this when a writer opens a file on which the inbox has a lease.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    # If it were ignored, as inherited from the parent, the exit codes of child processes would be lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Imported modules stay; scanning them again and again would take a tenth of the server's time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401 - anyio imports it by itself
    except ImportError:
        return False
    return True


def _signal_ready(descriptor: int | None, manager: "ServiceManager") -> None:
    """Signal the process that started this server, which may wait on a pipe, and the service manager."""
    manager.is_ready()
    if descriptor is not None:
        os.write(descriptor, b"ready\n")
        os.close(descriptor)


@click.command()
@directory_option
@serving_options(idle_timeout="10s", quiet="Print nothing.", verbose="Write more into the log of the server.")
def start(directory: str | None, serving: Serving, is_meant: bool, quiet: bool) -> None:
    """Start a server in the background, and return when it is ready.

    If one is already running, no other is started: -j N raises its limit to N, but never lowers it. The server
    exits after some time without work, see --idle-timeout.
    """
    folder = folder_to_serve(directory, is_meant=is_meant)
    up = servers.start(folder, serving, print_warning)
    if not quiet:
        report(up.said)


@click.command()
@directory_option
@click.option("--kill", is_flag=True, help="Stop running tasks, too; their runs are aborted.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Print more.")
def stop(directory: str | None, kill: bool, quiet: bool, verbose: bool) -> None:
    """Stop the servers of the folder after running tasks finish, and return when they have exited.

    Queued runs stay queued.
    """
    refuse_both(quiet, verbose)
    folder = find_folder(directory)
    dismissed = servers.dismiss(folder, kill=kill)
    if quiet:
        servers.wait_until_gone(folder, dismissed.servers, lambda _: None)
        return
    for server, running in zip(dismissed.servers, dismissed.running, strict=True):
        if verbose or (running and not kill):
            note(f"server {server.pid} {'stops' if kill else 'waits for'} {counted(running, 'run')}")
    if not dismissed.servers:
        orphans = dismissed.orphans
        goes_on = (
            f"; {counted(orphans, 'run')} without a server until `aqueue serve` starts one" if orphans else ""
        )
        report(f"{NO_SERVER}{goes_on}")
    servers.wait_until_gone(folder, dismissed.servers, report)
