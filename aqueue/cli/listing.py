"""The command that lists runs."""

from collections.abc import Sequence
from typing import Unpack

import click

from aqueue.cli import tables
from aqueue.cli import untaken as untaken_files
from aqueue.cli.completion import group_option, queue_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import COUNT, F, directory_option
from aqueue.cli.output import say, spooled_output
from aqueue.cli.plain_table import Table
from aqueue.client import columns as tabulating
from aqueue.client.listing import Chosen, ids_of
from aqueue.client.prospects import unseen
from aqueue.client.session import config_or_default, present, reading
from aqueue.client.untaken import untaken
from aqueue.client.views.runs import slices_as_json
from aqueue.client.wait_reasons import Waits, waits
from aqueue.folder import rejected
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.visible import visible

_ROWS = 50


def _choice_options(command: F) -> F:
    """Give a command the options that choose runs, as the fields of `Chosen`."""
    chosen = [
        click.option(
            f"--{state}",
            "states",
            flag_value=str(state),
            multiple=True,
            callback=lambda _ctx, _param, states: [State(state) for state in states],
            help=f"Show only {state} runs.",
        )
        for state in State
    ]
    chosen += [
        queue_option("Show only runs in this queue."),
        click.option(
            "--tag", metavar="TAG", help="Show only runs with this tag: key=value, or key for any value."
        ),
        group_option("Show only runs in this group."),
    ]
    for option in reversed(chosen):
        command = option(command)
    return command


@click.command("ls")
@directory_option
@_choice_options
@click.option("--limit", type=COUNT, metavar="N", help=f"Show at most N runs (default: {_ROWS}).")
@click.option("--metrics", "measured", is_flag=True, help="Show params and metrics, oldest run first.")
@click.option("--sort", "key", metavar="[-]KEY", help="Sort by a column, param or metric; -KEY: largest first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all runs as CSV, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print all runs as JSON, oldest first.")
def list_(
    directory: str | None,
    limit: int | None,
    measured: bool,
    key: str | None,
    as_csv: bool,
    as_json: bool,
    **chosen: Unpack[Chosen],
) -> None:
    """List runs, newest first."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json cannot be used together")
    folder = find_folder(directory)
    is_for_people = not as_csv and not as_json
    if limit is None and is_for_people and not (measured and chosen["group"] is not None):
        limit = _ROWS
    if as_json:
        _print_as_json(folder, chosen, key, limit)
        return
    # Imported below: few commands print measured values or CSV.
    with reading(folder) as store:
        moment = present(store)
        ids = ids_of(store, chosen, key, limit)
        if measured:
            columns = tabulating.columns_of(store.runs.each(sorted(ids)), moment)
        elif as_csv:
            known = Waits(store, folder, print_warning)
            rows = [
                row
                for runs in store.runs.in_slices(ids)
                for row in tabulating.facts_of(runs, known.of(runs), moment)
            ]
        else:
            few = list(store.runs.each(ids[::-1] if key is None else ids))
            why = waits(store, folder, few, print_warning)
            if (alone := unseen(store, folder)) is not None:
                why = [alone if run.state is State.RUNNING else text for run, text in zip(few, why, strict=True)]
        total = store.runs.count(**chosen)
        left = untaken(store, folder, config_or_default(folder)) if is_for_people else []
    if measured:
        from aqueue.cli.columns import print_measured

        print_measured(ids, columns, as_csv=as_csv)
    elif as_csv:
        from aqueue.cli.columns import print_facts

        print_facts(rows)
    else:
        _print_runs(few, why, moment)
    if total > len(ids) and is_for_people:
        say(f"{total - len(ids)} more; --limit shows them", err=True)
    if is_for_people:
        untaken_files.print_summary(folder, left, rejected.newest(folder)[0])


def _print_as_json(folder: Folder, chosen: Chosen, key: str | None, limit: int | None) -> None:
    """Print the runs as JSON, however many there are."""
    with spooled_output() as put, reading(folder) as store:
        ids = ids_of(store, chosen, key, limit)
        for piece in tables.json_of_slices(slices_as_json(store, folder, ids, print_warning)):
            put(piece)


def _print_runs(runs: Sequence[Run], why: Sequence[str | None], moment: float) -> None:
    table = Table(["id", "name", "queue", "state", "took", "why…"])
    for run, wait in zip(runs, why, strict=True):
        text = visible(wait or run.reason or "")
        table.add_row(
            str(run.id), run.name, run.queue, tables.state_cell(run.state), tables.took(run, moment), text
        )
    tables.print_table(table)
