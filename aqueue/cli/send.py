"""The command that sends text to a run."""

import sys

import click

from aqueue.cli.completion import complete_run_in
from aqueue.cli.context import find_folder
from aqueue.cli.options import directory_option
from aqueue.client import sending
from aqueue.model.run import State


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run_in(State.RUNNING))
@click.argument("text", required=False, metavar="[TEXT]")
@click.option("--eof", is_flag=True, help="End the input of the run after that.")
def send(directory: str | None, run: str, text: str | None, eof: bool) -> None:
    """Send a line to the standard input of a running run.

    The run must be queued with `stdin: open` or `add --stdin`. A TEXT of - sends all of this command's input.
    """
    if text is None and not eof:
        raise click.UsageError("there is nothing to send\ngive a TEXT, or --eof to end the input")
    if text == "-":
        content = sys.stdin.buffer.read()
    else:
        content = b"" if text is None else f"{text}\n".encode(errors="surrogateescape")
    sending.send(find_folder(directory), run, content, ends=eof)
