"""The command that lists runs."""

from collections.abc import Mapping, Sequence
from typing import Unpack

import click

from aqueue.cli import tables
from aqueue.cli.completion import column_option, group_option, queue_option, tag_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import COUNT, SINCE, F, directory_option
from aqueue.cli.output import note, spooled_output
from aqueue.cli.screens import Asked, screen_of
from aqueue.cli.tables import print_lines
from aqueue.client.columns import FACTS, WHY, facts_of
from aqueue.client.listing import Chosen, columns_for, ids_of
from aqueue.client.session import present, reading
from aqueue.client.unknown_names import doubts_of
from aqueue.client.views.runs import slices_as_json
from aqueue.client.wait_reasons import Waits
from aqueue.folder.layout import Folder
from aqueue.model.run import State
from aqueue.store.store import Store

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
        tag_option("Show only runs with this tag: key=value, or key for any value."),
        group_option("Show only runs in this group."),
        click.option(
            "--since",
            type=SINCE,
            metavar="TIME",
            help="Show only runs queued, started or ended since 2d ago, 14:30, yesterday or 2026-11-28.",
        ),
    ]
    for option in reversed(chosen):
        command = option(command)
    return command


def _split(ctx: click.Context, param: click.Parameter, written: str | None) -> tuple[str, ...]:  # noqa: ARG001 - click's
    """Return the keys of columns, separated by commas."""
    keys = tuple(key.strip() for key in (written or "").split(",")) if written is not None else ()
    if not all(keys):
        raise click.BadParameter("a column is empty: write them as id,name,lr")
    return keys


@click.command("ls")
@directory_option
@_choice_options
@click.option("--limit", type=COUNT, metavar="N", help=f"Show at most N runs (default: {_ROWS}).")
@column_option(
    "--columns", "keys", metavar="KEY,…", callback=_split, help="Show these columns, params and metrics."
)
@click.option("--metrics", "measured", is_flag=True, help="Show params and metrics, oldest run first.")
@column_option("--sort", "key", metavar="[-]KEY", help="Sort by a column, param or metric; -KEY: largest first.")
@click.option("--watch", is_flag=True, help="Show the list until Ctrl-C, and redraw it when something changes.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all runs as CSV, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print all runs as JSON, oldest first.")
def list_(
    directory: str | None,
    limit: int | None,
    keys: tuple[str, ...],
    measured: bool,
    key: str | None,
    watch: bool,
    as_csv: bool,
    as_json: bool,
    **chosen: Unpack[Chosen],
) -> None:
    """List runs, newest first.

    KEY is a param, a metric, or one of id, name, queue, state, took, when, command, why, reason, priority, group,
    tags, gpus, attempt, exit_code, created_at, started_at, finished_at, scheduled_for, trigger, working_dir and
    run_id.
    """
    _refuse_together({"--csv": as_csv, "--json": as_json, "--watch": watch})
    _refuse_together({"--json": as_json, "--columns": bool(keys)})
    folder = find_folder(directory)
    if watch:
        from aqueue.cli.watch import redraw

        redraw(folder, lambda rows: screen_of(folder, Asked(chosen, key, limit or rows, measured, keys)))
        return
    asked = Asked(chosen, key, limit, measured, keys)
    if as_json:
        _print_as_json(folder, asked)
    elif as_csv:
        _print_as_csv(folder, asked)
    else:
        if limit is None and not (measured and chosen["group"] is not None):
            asked = asked._replace(limit=_ROWS)
        lines, notes = screen_of(folder, asked)
        print_lines(lines)
        for text in notes:
            note(text)


def _refuse_together(given: Mapping[str, bool]) -> None:
    if len(both := [option for option, is_given in given.items() if is_given]) > 1:
        raise click.UsageError(f"{both[0]} and {both[1]} cannot be used together")


def _print_as_json(folder: Folder, asked: Asked) -> None:
    """Print the runs as JSON, however many there are."""
    with spooled_output() as put, reading(folder) as store:
        ids = ids_of(store, asked.chosen, Waits(store, folder, print_warning), asked.key, asked.limit)
        for piece in tables.json_of_slices(slices_as_json(store, folder, ids, print_warning)):
            put(piece)
        _note_doubts(store, folder, asked, ids)


def _note_doubts(store: Store, folder: Folder, asked: Asked, ids: Sequence[int]) -> None:
    for doubt in [] if ids else doubts_of(store, folder, asked.chosen["queue"], asked.chosen["tag"]):
        note(doubt)


def _print_as_csv(folder: Folder, asked: Asked) -> None:
    # Imported here: few commands print CSV.
    from aqueue.cli import columns

    with reading(folder) as store:
        waits = Waits(store, folder, print_warning)
        ids = ids_of(store, asked.chosen, waits, asked.key, asked.limit)
        known = columns_for(store, ids, waits, asked.columns) if asked.measured or asked.columns else {}
        moment = present(store)
        _note_doubts(store, folder, asked, ids)
        rows = (
            []
            if known
            else [row for runs in store.runs.in_slices(ids) for row in facts_of(runs, waits.of(runs), moment)]
        )
    if asked.columns:
        columns.print_columns_as_csv(columns.chosen_columns(known, asked.columns, len(ids)), ids)
    elif asked.measured:
        columns.print_columns_as_csv(columns.measured_columns(known), ids)
    else:
        columns.print_csv((*FACTS, WHY), rows)
