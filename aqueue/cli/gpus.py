"""The command that shows the GPUs."""

from typing import Any

import click

from aqueue.cli import tables
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client import gpu_views
from aqueue.units import named, spell_size
from aqueue.visible import visible


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gpus(directory: str | None, as_json: bool) -> None:
    """Show GPUs, what runs on them, and which runs wait for them."""
    seen = gpu_views.read_gpus(find_folder(directory), print_warning)
    if as_json:
        tables.print_json(seen.as_json())
        return
    # GPUs that are declared in aqueue.yaml need no driver.
    if seen.problem is not None and not seen.gpus:
        say(seen.problem)
    for gpu in seen.gpus:
        _print(gpu)
    for run, reason in seen.waiting:
        say(f"run {run.id} {run.name}: {reason or 'it is next'}")
    if seen.more_waiting:
        say(f"{seen.more_waiting} more runs wait for GPUs; `aqueue ls --queued` shows them")


def one_line(gpu: dict[str, Any]) -> str:
    """Return a GPU of `gpu_as_json` as one line."""
    memory = ""
    if gpu["memory_total"] is not None:
        memory = f", {spell_size(gpu['memory_free'])} of {spell_size(gpu['memory_total'])} free"
    label = gpu["index"] if gpu["instance"] is None else f"{gpu['index']}:{gpu['instance']}"
    name = "declared in aqueue.yaml" if gpu["uuid"] is None else gpu["name"] or "unknown"
    return f"GPU {label}: {name}{memory}, {_usage(gpu)}"


def _usage(gpu: dict[str, Any]) -> str:
    runs = [*map(str, gpu["runs"])]
    ours = named("run", runs, most=len(runs)) if runs else ""
    waiting = f"{len(gpu['waiting'])} waiting" if gpu["waiting"] else ""
    return "; ".join(filter(None, (ours, gpu["why"], waiting))) or "free"


def _print(gpu: dict[str, Any]) -> None:
    colour = {"free": "green", "failed": "red", "foreign": "yellow"}.get(gpu["state"], "blue")
    head, colon, rest = one_line(gpu).partition(":") if gpu["instance"] is None else (one_line(gpu), "", "")
    say(colon + rest, head=click.style(visible(head), fg=colour))
    for process in gpu["processes"] or ():
        whose = f"run {process['run']}" if process["run"] is not None else process["user"] or "unknown user"
        memory = "" if process["memory"] is None else f", {spell_size(process['memory'])}"
        say(f"  {process['pid']} {process['name'] or '?'} ({whose}){memory}")
