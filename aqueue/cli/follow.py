"""The command that waits for runs."""

from collections.abc import Sequence

import click

from aqueue.cli import untaken
from aqueue.cli.bar import bar_for
from aqueue.cli.completion import complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import note, say
from aqueue.client import follow as client
from aqueue.client.logs import end_of
from aqueue.client.untaken import left_to_a_person
from aqueue.model.run import Run, State

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
    with bar_for(folder, is_wanted=not quiet) as bar:
        for progress in client.wait(folder, runs, group, print_warning, every=bar.seconds):
            bar.clear()
            # One that was removed from its queue, or pruned as soon as it ended: its outcome is unknown.
            succeeded = succeeded and not progress.gone and not progress.stuck
            succeeded = succeeded and all(run.state is State.SUCCEEDED for run in progress.ended)
            if not quiet:
                _print_news(progress)
            note(progress.unserved)
            bar.draw(progress)
    if not runs and group is None and (left := left_to_a_person(folder)):
        succeeded = False
        if not quiet:
            untaken.print_reasons(left)
    if not succeeded:
        raise click.exceptions.Exit(1)


def _print_news(progress: client.Progress) -> None:
    for id_ in progress.gone:
        say(f"run {id_} no longer exists")
    for run in progress.ended:
        say(end_of(run))
    if progress.stuck:
        print_stuck(progress.stuck)


def print_stuck(stuck: Sequence[tuple[Run, str]]) -> None:
    """Print why runs cannot start without the user."""
    for run, why in stuck[:_SHOWN]:
        say(f"run {run.id} {run.name} cannot start: {why}", err=True)
    if len(stuck) > _SHOWN:
        say(f"{len(stuck) - _SHOWN} more cannot start; `aqueue ls` shows why", err=True)
