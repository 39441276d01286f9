"""The command that moves runs in line."""

import click

from aqueue.cli.completion import complete_run_in
from aqueue.cli.context import find_folder
from aqueue.cli.options import directory_option
from aqueue.cli.selection import report_changed, selection_options
from aqueue.client import moving
from aqueue.client.editing import EDITABLE
from aqueue.client.moving import Where
from aqueue.client.selection import Selection

_waiting = complete_run_in(*EDITABLE)


@click.command()
@directory_option
@selection_options(*EDITABLE)
@click.option("--first", is_flag=True, help="Before all others.")
@click.option("--last", is_flag=True, help="After all others that wait now.")
@click.option("--before", metavar="RUN", shell_complete=_waiting, help="Right before this run.")
@click.option("--after", metavar="RUN", shell_complete=_waiting, help="Right after this run.")
def move(
    directory: str | None,
    selection: Selection,
    first: bool,
    last: bool,
    before: str | None,
    after: str | None,
) -> None:
    """Move queued or held runs in line, in the given order.

    High priority still goes before low. Runs that are queued later go after those that were moved.
    """
    moved = moving.move(find_folder(directory), selection, Where(first, last, before, after))
    report_changed("moved", moved, selection, EDITABLE)
