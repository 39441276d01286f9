"""The commands for the service of a folder: a systemd unit of this user."""

import subprocess
import sys

import click

from aqueue.cli.context import find_folder, folder_to_create
from aqueue.cli.options import COUNT, directory_option
from aqueue.cli.output import note, report, say
from aqueue.cli.serving_options import on_stop_option, serving_options
from aqueue.cli.unclaimed import folder_to_serve
from aqueue.client import service as services
from aqueue.client.serve_command import Serving
from aqueue.folder.layout import display_path
from aqueue.model.server import OnStop
from aqueue.units import counted


@click.group()
def service() -> None:
    """Serve a folder from login or boot on, as a systemd service of this user."""


@service.command()
@directory_option
@serving_options(idle_timeout="never", quiet="Print nothing.", verbose="Write more into the log of the server.")
@on_stop_option(OnStop.LEAVE)
@click.option("--now", is_flag=True, help="Also start it, or restart it with these options.")
@click.option("--print", "prints", is_flag=True, help="Only print the unit; install nothing.")
def install(
    directory: str | None,
    serving: Serving,
    is_meant: bool,
    on_stop: OnStop,
    quiet: bool,
    now: bool,
    prints: bool,
) -> None:
    """Install a service that serves the folder, or change its options.

    The server has the PATH, VIRTUAL_ENV and CONDA_PREFIX of this command. When it is stopped or restarted, the
    runs go on, unless --on-stop says otherwise, and the next server takes them over.
    """
    folder = folder_to_serve(directory, is_meant=is_meant)
    if prints:
        say(services.unit_of(folder, serving, on_stop).removesuffix("\n"))
        return
    installed = services.install(folder, serving, on_stop, starts_now=now)
    if quiet:
        return
    where, name = display_path(folder.path), installed.service.name
    if now:
        report(f"{name} is installed, and serves {where}/")
    elif installed.is_up:
        report(f"{name} is installed; the one that is up keeps its options until `aqueue service install --now`")
    else:
        report(f"{name} is installed, and serves {where}/ from your next login on; --now starts it at once")
    if not installed.lingers:
        note("it ends when you log out, and starts when you log in; for a start at boot: loginctl enable-linger")


@service.command()
@directory_option
def uninstall(directory: str | None) -> None:
    """Stop and remove the service of the folder, whether or not the folder is still there."""
    removed, running = services.uninstall(folder_to_create(directory))
    goes_on = f"; {counted(running, 'run')} without a server until `aqueue serve` starts one" if running else ""
    report(f"{removed.name} is removed{goes_on}")


@service.command()
@directory_option
def status(directory: str | None) -> None:
    """Show whether the service is up; exits with 1 if it is not."""
    _show(services.status_command(find_folder(directory)))


@service.command()
@directory_option
@click.option("-f", "--follow", is_flag=True, help="Print new lines as they come, until Ctrl-C.")
@click.option("-n", "--tail", type=COUNT, metavar="N", default=50, help="Print the last N lines (default: 50).")
def logs(directory: str | None, follow: bool, tail: int) -> None:
    """Show the log of the service, which the journal keeps."""
    _show(services.log_command(find_folder(directory), tail, follows=follow))


def _show(command: list[str]) -> None:
    """Run a command that prints for the user."""
    sys.stdout.flush()
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - a command of systemd
        raise click.exceptions.Exit(1)
