"""The command that shows the GPUs."""

import click

from aqueue.cli import tables
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client.gpus import GpuUse, read_gpus
from aqueue.client.views.gpus import gpus_as_json
from aqueue.units import named, spell_size
from aqueue.visible import visible


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gpus(directory: str | None, as_json: bool) -> None:
    """Show GPUs, what runs on them, and which runs wait for them."""
    seen = read_gpus(find_folder(directory), print_warning)
    if as_json:
        tables.print_json(gpus_as_json(seen))
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


def one_line(use: GpuUse) -> str:
    """Return a GPU and its use as one line."""
    gpu, memory = use.gpu, ""
    if gpu.total is not None and gpu.free is not None:
        memory = f", {spell_size(gpu.free)} of {spell_size(gpu.total)} free"
    name = "declared in aqueue.yaml" if gpu.is_declared else gpu.name or "unknown"
    return f"GPU {gpu.label}: {name}{memory}, {_usage(use)}"


def _usage(use: GpuUse) -> str:
    ours = named("run", [*map(str, use.runs)], most=len(use.runs)) if use.runs else ""
    waiting = f"{len(use.waiting)} waiting" if use.waiting else ""
    return "; ".join(filter(None, (ours, use.why, waiting))) or "free"


def _print(use: GpuUse) -> None:
    colour = {"free": "green", "failed": "red", "foreign": "yellow"}.get(use.state, "blue")
    head, colon, rest = one_line(use).partition(":") if use.gpu.instance is None else (one_line(use), "", "")
    say(colon + rest, head=click.style(visible(head), fg=colour))
    for process in use.gpu.processes or ():
        whose = f"run {process.run}" if process.run is not None else process.user or "unknown user"
        memory = "" if process.memory is None else f", {spell_size(process.memory)}"
        say(f"  {process.pid} {process.name or '?'} ({whose}){memory}")
