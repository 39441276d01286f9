"""The commands that follow runs."""

import sys
from collections.abc import Sequence

import click

from aqueue.cli import untaken
from aqueue.cli.completion import complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import COUNT, directory_option
from aqueue.cli.output import note, say
from aqueue.client import follow as client
from aqueue.client.untaken import left_to_a_person
from aqueue.model.run import Run, State
from aqueue.units import spell

_SHOWN = 5


@click.command()
@directory_option
@click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
@group_option("Include all runs in this group.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def wait(directory: str | None, runs: tuple[str, ...], group: str | None, quiet: bool) -> None:
    """Wait until runs end: the given ones, or all that are queued or running now.

    Stops waiting when the remaining runs cannot start without your help. Exits with 1 if a run did not succeed or,
    without RUN, if there are task files in the folder that no server takes.
    """
    folder, succeeded = find_folder(directory), True
    for progress in client.wait(folder, runs, group, print_warning):
        for id_ in progress.gone:
            # Removed from its queue, or pruned as soon as it ended: its outcome is unknown.
            succeeded = False
            if not quiet:
                say(f"run {id_} no longer exists")
        for run in progress.ended:
            succeeded = succeeded and run.state is State.SUCCEEDED
            if not quiet:
                say(_ended(run))
        if progress.stuck:
            succeeded = False
            if not quiet:
                _print_stuck(progress.stuck)
        note(progress.unserved)
    if not runs and group is None and (left := left_to_a_person(folder)):
        succeeded = False
        if not quiet:
            untaken.print_reasons(left)
    if not succeeded:
        raise click.exceptions.Exit(1)


def _print_stuck(stuck: Sequence[tuple[Run, str]]) -> None:
    for run, why in stuck[:_SHOWN]:
        say(f"run {run.id} {run.name} cannot start: {why}", err=True)
    if len(stuck) > _SHOWN:
        say(f"{len(stuck) - _SHOWN} more cannot start; `aqueue ls` shows why", err=True)


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run)
@click.option(
    "-f", "--follow", is_flag=True, help="Follow the output until the run ends, or needs your help to start."
)
@click.option("--attempt", type=COUNT, metavar="N", help="Show this attempt (default: the last one).")
def logs(directory: str | None, run: str, follow: bool, attempt: int | None) -> None:
    """Show the output of a run."""
    folder, out = find_folder(directory), sys.stdout.buffer
    try:
        for piece in (
            client.follow(folder, run, attempt, print_warning, note)
            if follow
            else client.output(folder, run, attempt)
        ):
            out.write(piece)
            out.flush()
    except client.StuckError as stuck:
        _print_stuck(stuck.runs)
        raise click.exceptions.Exit(1) from None


def _ended(run: Run) -> str:
    after = "" if run.took is None else f" after {spell(run.took)}"
    why = f": {run.reason}" if run.reason and run.state is not State.SUCCEEDED else ""
    return f"{run.id} {run.name} {run.state}{after}{why}"
