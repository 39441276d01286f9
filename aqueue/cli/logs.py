"""The command that shows the output of runs."""

import sys
from collections.abc import Iterable
from typing import Final

import click

from aqueue.cli.context import find_folder
from aqueue.cli.follow import print_stuck
from aqueue.cli.messages import print_warning
from aqueue.cli.options import COUNT, directory_option
from aqueue.cli.output import say
from aqueue.cli.selection import selection_options
from aqueue.client import logs as client
from aqueue.client.follow import StuckError
from aqueue.client.selection import Selection, selected
from aqueue.client.session import reading
from aqueue.errors import RunError
from aqueue.model.run import Run, State
from aqueue.visible import visible_line

_STARTED: Final = (State.RUNNING, State.SUCCEEDED, State.FAILED, State.ABORTED)
"""The states of runs that have output, of those that are not named one by one."""


@click.command()
@directory_option
@selection_options(*State)
@click.option("-n", "--tail", type=COUNT, metavar="N", help="Show only the last N lines.")
@click.option("--head", type=COUNT, metavar="N", help="Show only the first N lines.")
@click.option(
    "-f", "--follow", is_flag=True, help="Follow the output until the run ends, or needs your help to start."
)
@click.option("--attempt", type=COUNT, metavar="N", help="Show this attempt (default: the last one).")
def logs(
    directory: str | None,
    selection: Selection,
    tail: int | None,
    head: int | None,
    follow: bool,
    attempt: int | None,
) -> None:
    """Show the output of runs.

    Several runs are shown one after the other, each with a heading. With -f, standard error says which attempt is
    shown, what a run waits for and how it ended, and the exit code is 1 if a run did not succeed.
    """
    if head is not None and (tail is not None or follow):
        raise click.UsageError(f"--head and {'--follow' if follow else '--tail'} cannot be used together")
    folder = find_folder(directory)
    with reading(folder) as store:
        chosen = selected(store, folder, selection, [*State] if follow else _STARTED)
    if not chosen:
        say("there is no output of such runs", err=True)
    is_good = True
    for number, run in enumerate(chosen):
        if len(chosen) > 1:
            _print_heading(run, is_first=number == 0)
        written = str(run.id)
        try:
            if follow:
                is_good &= _copy(client.follow(folder, written, attempt, print_warning, tail=tail))
            else:
                _copy(client.output(folder, written, attempt, head=head, tail=tail))
        except StuckError as stuck:
            is_good = False
            print_stuck(stuck.runs)
        except RunError as error:
            if len(chosen) == 1:
                raise
            is_good &= not follow
            say(error.message, err=True)
    if not is_good:
        raise click.exceptions.Exit(1)


def _print_heading(run: Run, *, is_first: bool) -> None:
    why = f": {run.reason}" if run.reason else ""
    say(f"==> {visible_line(f'{run.id} {run.name}, {run.state}{why}')} <==", head="" if is_first else "\n")


def _copy(pieces: Iterable[bytes | client.Note]) -> bool:
    """Copy output to standard output, and notes to standard error; return False if the run did not succeed."""
    out, is_good, is_inside_line = sys.stdout.buffer, True, False
    on_one_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    for piece in pieces:
        if isinstance(piece, client.Note):
            is_good = not piece.has_failed
            say(piece.text, err=True, head="\n" if is_inside_line and on_one_terminal else "")
            is_inside_line = False
        else:
            out.write(piece)
            out.flush()
            is_inside_line = not piece.endswith(b"\n")
    return is_good
