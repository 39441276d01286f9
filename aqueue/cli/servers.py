"""The verbs that start and stop servers in the background."""

import click

from aqueue.cli.context import find_folder
from aqueue.cli.messages import note, say_warning
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
from aqueue.cli.unclaimed import folder_to_serve, yes_option
from aqueue.client import servers
from aqueue.client.servers import Serving
from aqueue.model.gpu import GpuId
from aqueue.units import counted


@click.command()
@directory_option
@click.option("-j", "--jobs", type=COUNT, metavar="N", help="Number of runs at a time; default 1.")
@click.option("--idle-timeout", type=IDLE_TIMEOUT, help="Exit after being idle for this long: 10s, or never.")
@ignore_schedules_option
@served_option
@owned_option
@yes_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Write more into the log of the server.")
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
    serving = Serving(jobs, idle_timeout, ignore_schedules, queues, gpus, verbose)
    up = servers.start(folder, serving, say_warning)
    if not quiet:
        report(up.said)


@click.command()
@directory_option
@click.option("--kill", is_flag=True, help="Stop running tasks as well; they are aborted.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Print more.")
def stop(directory: str | None, kill: bool, quiet: bool, verbose: bool) -> None:
    """Have all servers of the folder exit once what runs is over; return when they are gone.

    What is queued stays queued.
    """
    refuse_both(quiet, verbose)
    folder = find_folder(directory)
    dismissed = servers.dismiss(folder, kill=kill)
    if quiet:
        servers.wait_until_gone(folder, dismissed.servers, lambda _: None)
        return
    for server, running in zip(dismissed.servers, dismissed.running, strict=True):
        if verbose or (running and not kill):
            note(f"server {server.pid} has {counted(running, 'run')} to {'stop' if kill else 'wait for'}")
    if not dismissed.servers:
        orphans = dismissed.orphans
        goes_on = f"; {counted(orphans, 'run')} without one until `aqueue serve` starts one" if orphans else ""
        report(f"no server is up{goes_on}")
    servers.wait_until_gone(folder, dismissed.servers, report)
