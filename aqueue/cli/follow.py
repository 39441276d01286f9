"""The command that waits for runs."""

from collections.abc import Callable, Sequence

import click

from aqueue.cli import untaken
from aqueue.cli.bar import bar_for
from aqueue.cli.completion import complete_run, group_option, notify_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import note, say
from aqueue.client import follow as client
from aqueue.client.logs import end_of
from aqueue.client.untaken import left_to_a_person
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State

_SHOWN = 5


@click.command()
@directory_option
@click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
@group_option("Include all runs in this group.")
@notify_option("Send a message to this target in aqueue.yaml at the end. May be repeated.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def wait(
    directory: str | None, runs: tuple[str, ...], group: str | None, notify: tuple[str, ...], quiet: bool
) -> None:
    """Wait until runs end: the given ones, or all that are queued or running now.

    Stops waiting when the remaining runs cannot start without your help. Exits with 1 if a run did not succeed or,
    without RUN, if there are task files in the folder that no server takes.
    """
    folder, succeeded, ended = find_folder(directory), True, list[Run]()
    tell = _teller(folder, notify)
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
            ended += progress.ended
    tell(ended)
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


def _teller(folder: Folder, names: Sequence[str]) -> Callable[[Sequence[Run]], None]:
    """Return a function that tells targets how runs have ended.

    Raises:
        UsageError: one of the targets does not exist.
    """
    if not names:
        return lambda _: None
    # Imported here: it is seldom needed.
    from aqueue.client import notify

    targets = notify.targets_named(folder, names, print_warning)

    def tell(runs: Sequence[Run]) -> None:
        for target in targets if runs else ():
            if (error := notify.tell(folder, target, runs)) is not None:
                print_warning(f"notify {target.name}: {error}")

    return tell


def print_stuck(stuck: Sequence[tuple[Run, str]]) -> None:
    """Print why runs cannot start without the user."""
    for run, why in stuck[:_SHOWN]:
        say(f"run {run.id} {run.name} cannot start: {why}", err=True)
    if len(stuck) > _SHOWN:
        say(f"{len(stuck) - _SHOWN} more cannot start; `aqueue ls` shows why", err=True)
