"""The verbs that look at runs, queues and servers."""

import shlex
from collections.abc import Mapping, Sequence

import click

from aqueue.cli import columns as printing
from aqueue.cli import tables
from aqueue.cli import untaken as untaken_files
from aqueue.cli.completion import complete_queue, complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_warning
from aqueue.cli.options import COUNT, F, directory_option
from aqueue.cli.output import put_by, say
from aqueue.client import columns as tabulating
from aqueue.client import views
from aqueue.client.listing import Chosen, ids_of, slices_as_json
from aqueue.client.prospects import unseen
from aqueue.client.session import config_or_default, present, reading
from aqueue.client.untaken import untaken
from aqueue.client.wait_reasons import Waits, waits
from aqueue.folder import rejected
from aqueue.folder.layout import Folder
from aqueue.model.gpu import Allocation
from aqueue.model.run import Run, State
from aqueue.model.values import Value, plain_text
from aqueue.policy.gpu_supply import described
from aqueue.units import spell, spell_size
from aqueue.visible import visible

_ROWS = 50

_NAMED = 5


def _state_options(command: F) -> F:
    for state in reversed(State):
        option = click.option(
            f"--{state}", "states", flag_value=str(state), multiple=True, help=f"Show only {state} runs."
        )
        command = option(command)
    return command


@click.command("ls")
@directory_option
@_state_options
@click.option("--queue", shell_complete=complete_queue, help="Show only runs of this queue.")
@click.option("--tag", help="Show only runs with this tag: key=value, or key for any value.")
@group_option
@click.option(
    "--limit",
    type=COUNT,
    help=f"Show at most this many; default {_ROWS}.",
)
@click.option("--metrics", "measured", is_flag=True, help="Show params and metrics, oldest first; of a group all.")
@click.option(
    "--sort", "key", metavar="[-]KEY", help="Sort by a column, a param or a metric; -KEY: largest first."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print all runs as CSV, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print all runs as JSON, oldest first.")
def list_(
    directory: str | None,
    states: tuple[str, ...],
    queue: str | None,
    tag: str | None,
    group: str | None,
    limit: int | None,
    measured: bool,
    key: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    folder = find_folder(directory)
    wanted = [State(state) for state in states]
    is_for_people = not as_csv and not as_json
    if limit is None and is_for_people and not (measured and group is not None):
        limit = _ROWS
    chosen = Chosen(states=wanted, queue=queue, tag=tag, group=group)
    if as_json:
        _print_as_json(folder, chosen, key, limit)
        return
    with reading(folder) as store:
        moment = present(store)
        ids = ids_of(store, chosen, key, limit)
        if measured:
            columns = tabulating.columns_of(store.runs.each(sorted(ids)), moment)
        elif as_csv:
            known = Waits(store, folder, say_warning)
            rows = [
                row
                for runs in store.runs.in_slices(ids)
                for row in tabulating.facts_of(runs, known.of(runs), moment)
            ]
        else:
            few = list(store.runs.each(ids[::-1] if key is None else ids))
            why = waits(store, folder, few, say_warning)
            if (alone := unseen(store, folder)) is not None:
                why = [alone if run.state is State.RUNNING else text for run, text in zip(few, why, strict=True)]
        total = store.runs.count(**chosen)
        left = untaken(store, folder, config_or_default(folder)) if is_for_people else []
    if measured:
        printing.print_measured(ids, columns, as_csv=as_csv)
    elif as_csv:
        printing.print_facts(rows)
    else:
        _print_runs(few, why, moment)
    if total > len(ids) and is_for_people:
        say(f"{total - len(ids)} more; --limit shows them", err=True)
    if is_for_people:
        untaken_files.say_in_short(folder, left, rejected.newest(folder)[0])


def _print_as_json(folder: Folder, chosen: Chosen, key: str | None, limit: int | None) -> None:
    """Print the runs as JSON, however many there are."""
    with put_by() as put, reading(folder) as store:
        ids = ids_of(store, chosen, key, limit)
        slices = slices_as_json(store, folder, ids, say_warning)
        for piece in tables.json_of_slices(slices):
            put(piece)


def _print_runs(runs: Sequence[Run], why: Sequence[str | None], moment: float) -> None:
    from rich.markup import escape

    table = tables.new_table("id", "name", "queue", "state", "took", "why…")
    for run, wait in zip(runs, why, strict=True):
        text = escape(visible(wait or run.reason or ""))
        table.add_row(
            str(run.id), run.name, run.queue, tables.state_text(run.state), tables.took(run, moment), text
        )
    tables.print_table(table)


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(directory: str | None, run: str, as_json: bool) -> None:
    """Show one run."""
    folder = find_folder(directory)
    seen = views.show(folder, run, say_warning)
    if as_json:
        tables.print_json(seen.as_json())
        return
    found, attempts, wait, after = seen.run, seen.attempts, seen.wait, seen.after
    command = found.task.command
    facts = {
        "run": f"{found.id}  {found.name}:{found.run_id}",
        "state": f"{found.state}{f', {found.reason}' if found.reason else ''}",
        "waits for": wait,
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
        "asks for": described(found.task.demand) if found.task.demand else "",
        "gpus": _labels(found.gpus),
        "pid": views.pid(found, folder),
        "created": tables.local(found.created_at),
        "started": tables.local(found.started_at),
        "finished": tables.local(found.finished_at),
        "log": views.log(found, folder),
        "log limit": spell_size(found.task.log_limit) if found.task.log_limit else "",
        "metrics": _pairs(found.metrics),
    }
    for label, value in facts.items():
        if value:
            text = str(value).rstrip("\n").replace("\n", "\n" + " " * 13)
            say(text, head=click.style(f"{label:<12} ", bold=True))
    for attempt in attempts if len(attempts) > 1 else ():
        end = "goes on" if attempt.finished_at is None else spell(attempt.finished_at - attempt.started_at)
        why = attempt.reason or ("" if attempt.finished_at is None else "succeeded")
        where = f"  on GPU {_labels(attempt.gpus)}" if attempt.gpus else ""
        say(f" {end}{where}  {why}", head=click.style(f"attempt {attempt.number:<4}", bold=True))
    for attempt in attempts:
        if path := views.checkout(found, attempt.number, folder):
            say(path, head=click.style("checkout     ", bold=True))


def _named(runs: Sequence[Run]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(f"{run.id} {run.name} ({run.state})" for run in runs[:_NAMED]) + more


def _pairs(values: Mapping[str, Value]) -> str:
    """Return params or metrics as a command sees or says them."""
    return ", ".join(f"{name}={plain_text(value)}" for name, value in values.items())


def _code(run: Run) -> str:
    snapshot = run.task.snapshot
    return f"{snapshot.commit[:12]} of {snapshot.repository}" if snapshot else ""


def _labels(gpus: Sequence[Allocation]) -> str:
    return ", ".join(gpu.label for gpu in gpus)
