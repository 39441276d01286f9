"""The command that shows the details of a run."""

import shlex
from collections.abc import Mapping, Sequence

import click

from aqueue.cli import tables
from aqueue.cli.completion import complete_run
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client import details
from aqueue.client.progress_words import progress_in_words, start_in_words
from aqueue.client.views.runs import details_as_json
from aqueue.model.gpu import Allocation
from aqueue.model.run import Attempt, Run
from aqueue.model.values import Value, plain_text
from aqueue.policy.gpu_supply import described
from aqueue.units import listed, listed_gpus, spell, spell_size

_MAX_NAMED = 5


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(directory: str | None, run: str, as_json: bool) -> None:
    """Show the details of a run."""
    folder = find_folder(directory)
    seen = details.details_of(folder, run, print_warning)
    if as_json:
        tables.print_json(details_as_json(seen))
        return
    found, attempts, wait, after = seen.run, seen.attempts, seen.wait, seen.after
    command = found.task.command
    facts = {
        "run": f"{found.id}  {found.name}:{found.run_id}",
        "state": f"{found.state}{f', {found.reason}' if found.reason else ''}",
        "waiting": wait and wait.removeprefix("waits "),
        "progress": progress_in_words(seen.forecast.progress),
        "starts": start_in_words(seen.forecast.starts_in),
        "after": _named(after),
        "group": found.task.group,
        "queue": f"{found.queue}, priority {found.priority.word}",
        "command": command if isinstance(command, str) else shlex.join(command),
        "params": _pairs(found.task.params),
        "positional": shlex.join(found.task.arguments),
        "working dir": found.task.working_dir,
        "code": _code(found),
        "tags": ", ".join(found.task.tags),
        "trigger": str(found.trigger),
        "due": tables.local(found.scheduled_for),
        "asks for": described(found.task.gpu_request) if found.task.gpu_request else "",
        "gpus": _labels(found.gpus),
        "pid": details.pid(found, folder),
        "created": tables.local(found.created_at),
        "started": tables.local(found.started_at),
        "finished": tables.local(found.finished_at),
        "used": _used(attempts[-1]) if attempts else "",
        "log": details.log(found, folder),
        "log limit": spell_size(found.task.log_limit) if found.task.log_limit else "",
        "metrics": _pairs(found.metrics),
    }
    for label, value in facts.items():
        if value:
            text = str(value).rstrip("\n").replace("\n", "\n" + " " * 13)
            say(text, head=click.style(f"{label:<12} ", bold=True))
    for attempt in attempts if len(attempts) > 1 else ():
        end = "running" if attempt.finished_at is None else spell(attempt.finished_at - attempt.started_at)
        why = attempt.reason or ("" if attempt.finished_at is None else "succeeded")
        where = f"  on {listed_gpus(gpu.label for gpu in attempt.gpus)}" if attempt.gpus else ""
        used = f"  ({text})" if (text := _used(attempt)) else ""
        say(f" {end}{where}  {why}{used}", head=click.style(f"attempt {attempt.number:<4}", bold=True))
    for attempt in attempts:
        if path := details.checkout(found, attempt.number, folder):
            say(path, head=click.style("checkout     ", bold=True))


def _named(runs: Sequence[Run]) -> str:
    return listed([f"{run.id} {run.name} ({run.state})" for run in runs], _MAX_NAMED)


def _pairs(values: Mapping[str, Value]) -> str:
    """Return params or metrics as text."""
    return ", ".join(f"{name}={plain_text(value)}" for name, value in values.items())


def _used(attempt: Attempt) -> str:
    cpu, memory = attempt.cpu_seconds, attempt.peak_memory
    parts = ["" if cpu is None else f"{spell(cpu)} of CPU time", "" if memory is None else spell_size(memory)]
    return ", ".join(filter(None, parts))


def _code(run: Run) -> str:
    snapshot = run.task.snapshot
    return f"{snapshot.commit[:12]} of {snapshot.repository}" if snapshot else ""


def _labels(gpus: Sequence[Allocation]) -> str:
    return ", ".join(gpu.label for gpu in gpus)
