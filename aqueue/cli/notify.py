"""The commands about notifications."""

import click

from aqueue.cli import tables
from aqueue.cli.completion import complete_target
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import report, say
from aqueue.client import notify as client
from aqueue.client.views.notify import targets_as_json
from aqueue.notify.texts import title
from aqueue.units import plural


@click.group()
def notify() -> None:
    """Test the targets of notifications, and show which messages were not sent.

    Targets are in aqueue.yaml: notify: [{name: phone, ntfy: 'https://ntfy.sh/…', on: [failed]}]
    """


@notify.command("test")
@directory_option
@click.argument("target", shell_complete=complete_target)
def test_target(directory: str | None, target: str) -> None:
    """Send a test message to TARGET.

    Secrets such as ${NTFY_TOKEN} come from the environment of this command; servers use their own.
    """
    client.test(find_folder(directory), target, print_warning)
    report(f"a message was sent to {target}")


@notify.command("ls")
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_targets(directory: str | None, as_json: bool) -> None:
    """List the targets, and the messages that were not sent."""
    targets, undelivered = client.targets(find_folder(directory), print_warning)
    if as_json:
        tables.print_json(targets_as_json(targets, undelivered))
        return
    if not targets:
        say("aqueue.yaml has no targets")
    for target in targets:
        events = "what tasks ask for" if target.on is None else ", ".join(target.on) or "nothing"
        say(f"{target.name}: {target.kind}, told of {events}")
    for one in undelivered:
        what = "given up" if one.due_at is None else "not sent yet"
        tries = f" after {one.tries} {plural(one.tries, 'try', 'tries')}" if one.tries else ""
        why = f": {one.error}" if one.error else ""
        say(f"{one.target}: {title(one.message)!r} is {what}{tries}{why}")
