"""The verb that shows the GPUs."""

from typing import Any

import click

from aqueue.cli import tables
from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client import gpu_views
from aqueue.units import spell_size
from aqueue.visible import visible


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gpus(directory: str | None, as_json: bool) -> None:
    """Show the GPUs of this machine, what runs on them, and who waits for them."""
    seen = gpu_views.look(find_folder(directory), say_warning)
    if as_json:
        tables.print_json(seen.as_json())
        return
    if seen.problem is not None:
        say(seen.problem)
    for card in seen.gpus:
        _print(card)
    for run, reason in seen.waiting:
        say(f"run {run.id} {run.name}: {reason or 'it is next'}")
    if seen.more_waiting:
        say(f"{seen.more_waiting} more runs wait for GPUs; `aqueue ls --queued` shows them")


def one_line(card: dict[str, Any]) -> str:
    """Return a GPU of `card_as_json` as one line."""
    memory = ""
    if card["memory_total"] is not None:
        memory = f", {spell_size(card['memory_free'])} of {spell_size(card['memory_total'])} free"
    label = card["index"] if card["instance"] is None else f"{card['index']}:{card['instance']}"
    name = "declared in aqueue.yaml" if card["uuid"] is None else card["name"] or "unknown"
    return f"GPU {label}: {name}{memory}, {_said(card)}"


def _said(card: dict[str, Any]) -> str:
    runs = ", ".join(map(str, card["runs"]))
    ours = f"run{'s' if len(card['runs']) > 1 else ''} {runs}" if runs else ""
    waiting = f"{len(card['waiting'])} waiting" if card["waiting"] else ""
    return "; ".join(filter(None, (ours, card["why"], waiting))) or "free"


def _print(card: dict[str, Any]) -> None:
    colour = {"free": "green", "failed": "red", "foreign": "yellow"}.get(card["state"], "blue")
    head, colon, rest = one_line(card).partition(":") if card["instance"] is None else (one_line(card), "", "")
    say(colon + rest, head=click.style(visible(head), fg=colour))
    for process in card["processes"] or ():
        whose = f"run {process['run']}" if process["run"] is not None else process["user"] or "somebody"
        memory = "" if process["memory"] is None else f", {spell_size(process['memory'])}"
        say(f"  {process['pid']} {process['name'] or '?'} ({whose}){memory}")
