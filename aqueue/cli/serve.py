"""The verbs that make and serve a folder."""

import contextlib
import os
import shlex

import click

from aqueue.cli.context import folder_to_create
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
from aqueue.cli.output import report
from aqueue.cli.unclaimed import fate_of_files, folder_to_serve, yes_option
from aqueue.client import session
from aqueue.errors import FolderError
from aqueue.folder.layout import Folder
from aqueue.model.gpu import GpuId


@click.command()
@click.argument("directory", metavar="[DIR]", default="", required=False)
def init(directory: str) -> None:
    """Make a folder, ./queue unless DIR says otherwise."""
    where = folder_to_create(directory, default="queue")
    is_new = not where.state.exists()
    where.create()
    from aqueue.store import database

    database.connect(where).close()
    shown = os.path.relpath(where.path)
    report(f"{shown}/ is ready: drop *.yaml files into it, and run `aqueue serve{_named(where, shown)}`")
    if is_new and (fate := fate_of_files(where)):
        say_warning(fate)


def _named(folder: Folder, shown: str) -> str:
    """Return how `serve` is told of a folder; nothing for the one that it finds by itself."""
    with contextlib.suppress(FolderError):
        if session.folder_to_create(None).path == folder.path:
            return ""
    return f" {shlex.quote(shown)}"


@click.command()
@click.argument("path", metavar="[DIR]", default="", required=False)
@directory_option
@click.option("-j", "--jobs", type=COUNT, metavar="N", help="Number of runs at a time; default 1.")
@click.option(
    "--drain", is_flag=True, help="Exit when nothing can go on without a person; with 1 if not all was done."
)
@click.option("--idle-timeout", type=IDLE_TIMEOUT, help="Exit after being idle for this long: 10s.")
@ignore_schedules_option
@served_option
@owned_option
@yes_option
@click.option("-q", "--quiet", is_flag=True, help="Print only what needs a person.")
@click.option("-v", "--verbose", is_flag=True, help="Print more.")
# How `aqueue start` starts it.
@click.option("--log", hidden=True)
@click.option("--ready", type=int, hidden=True)
def serve(
    path: str,
    directory: str | None,
    jobs: int | None,
    drain: bool,
    idle_timeout: float | None,
    ignore_schedules: bool,
    queues: tuple[str, ...] | None,
    gpus: tuple[GpuId, ...] | None,
    is_meant: bool,
    quiet: bool,
    verbose: bool,
    log: str | None,
    ready: int | None,
) -> None:
    """Run what is dropped into the folder, until Ctrl-C.

    The first Ctrl-C starts nothing more and waits for what runs; the second stops what runs; after the third,
    what runs goes on without a server, and the next one takes it over.
    """
    refuse_both(quiet, verbose)
    import gc
    import signal
    from functools import partial

    import anyio

    from aqueue.cli.console import Narrator
    from aqueue.clock import Clock
    from aqueue.executors.local.open_files import close_inherited_files_on_exec
    from aqueue.server.server import serve as serve_folder
    from aqueue.server.settings import Options

    close_inherited_files_on_exec()
    # A writer who opens a file that is being read for the inbox makes the kernel send this; see leases.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    # Where whoever started this ignores it, the kernel tells nobody how a process ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    options = Options(
        jobs=jobs,
        idle_timeout=idle_timeout,
        drain=drain,
        ignore_schedules=ignore_schedules,
        queues=queues,
        gpus=gpus,
        log=log,
        when_ready=partial(_say_ready, ready),
    )
    narrator = Narrator(quiet=quiet, verbose=verbose)
    # What is imported stays: going through it again and again would take a tenth of the server's time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    has_done_all = anyio.run(
        serve_folder,
        folder_to_serve(path or directory, is_meant=is_meant),
        options,
        Clock(),
        narrator.report,
        # Short runs come by a tenth faster.
        backend_options={"use_uvloop": _has_uvloop()},
    )
    if drain and not has_done_all:
        raise click.exceptions.Exit(1)


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401 - anyio imports it by itself
    except ImportError:
        return False
    return True


def _say_ready(descriptor: int | None) -> None:
    """Tell whoever started this server, and waits at the other end, that it serves."""
    if descriptor is not None:
        os.write(descriptor, b"ready\n")
        os.close(descriptor)
