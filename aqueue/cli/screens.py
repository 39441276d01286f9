"""Lists of runs for people: the lines of a table, and notes on what is not in it."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from aqueue.cli import tables, untaken
from aqueue.cli.messages import print_warning
from aqueue.cli.plain_table import Column, Cut, Table, lines_of
from aqueue.client.forecasts import Forecast, Forecasts
from aqueue.client.listing import Chosen, columns_for, ids_of
from aqueue.client.progress_words import forecast_in_words
from aqueue.client.prospects import unseen
from aqueue.client.session import config_or_default, present, reading
from aqueue.client.summaries import summaries
from aqueue.client.unknown_names import doubts_of
from aqueue.client.untaken import untaken as untaken_in
from aqueue.client.wait_reasons import Waits
from aqueue.folder import rejected
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.store.store import Store
from aqueue.units import counted, listed

_MAX_NAMED = 10


class Asked(NamedTuple):
    """A list of runs as it is asked for.

    Attributes:
        key: the column to sort by; with a `-` before it, the largest value first.
        limit: the largest number of runs; None: all.
        measured: whether to show params and metrics.
        columns: the keys of the columns to show; empty: those that the others choose.
    """

    chosen: Chosen
    key: str | None
    limit: int | None
    measured: bool
    columns: tuple[str, ...]


def screen_of(folder: Folder, asked: Asked) -> tuple[list[str], list[str]]:
    """Return the lines of a list of runs, and notes about it."""
    with reading(folder) as store:
        waits = Waits(store, folder, print_warning)
        ids = ids_of(store, asked.chosen, waits, asked.key, asked.limit)
        if not asked.measured and asked.key is None:
            ids.reverse()
        if asked.measured or asked.columns:
            table, notes = _columns(store, ids, waits, asked)
        else:
            table, notes = _overview(store, folder, ids, waits), []
        if not ids:
            notes += doubts_of(store, folder, asked.chosen["queue"], asked.chosen["tag"])
        total = store.runs.count(**asked.chosen)
        left = untaken_in(store, folder, config_or_default(folder))
    lines, left_out = lines_of(table)
    if left_out:
        which = listed(left_out, _MAX_NAMED)
        notes.insert(0, f"{counted(len(left_out), 'column')} left out: {which}; --columns chooses, --csv has all")
    if total > len(ids):
        notes.append(f"{total - len(ids)} more; --limit shows them")
    if (text := untaken.summary(folder, left, rejected.newest(folder)[0])) is not None:
        notes.append(text)
    return lines, notes


def _columns(store: Store, ids: Sequence[int], waits: Waits, asked: Asked) -> tuple[Table, list[str]]:
    """Return the columns that are asked for, or params and metrics, and a note on params that all runs share."""
    # Imported here: most lists have none.
    from aqueue.cli import columns

    known, notes = columns_for(store, ids, waits, asked.columns), []
    if asked.columns:
        shown = columns.chosen_columns(known, asked.columns, len(ids))
    else:
        shown, same = columns.informative(columns.measured_columns(known), ids)
        if same:
            pairs = [f"{column.key}={columns.shown(column.written(ids[0]))}" for column in same]
            notes.append(f"the same for all: {listed(pairs, _MAX_NAMED)}")
    now = present(store) if sys.stdout.isatty() else None
    return columns.table_of(shown, ids, now), notes


def _overview(store: Store, folder: Folder, ids: Sequence[int], waits: Waits) -> Table:
    """Return runs with what people ask for first; on a terminal without columns that tell nothing."""
    runs = list(store.runs.each(ids))
    moment, is_for_people = present(store), sys.stdout.isatty()
    heading, what = summaries(runs)
    forecasts = [*map(Forecasts(store, folder).of, runs)]
    progress = [*map(forecast_in_words, forecasts)]
    why = _reasons(store, folder, runs, waits)
    took = [tables.took(run, moment) for run in runs]
    shows = {
        "QUEUE": any(run.queue != run.name for run in runs),
        "TOOK": any(took),
        "PROGRESS": any(progress),
        "WHY": any(why),
    }
    columns = [
        Column("ID"),
        Column("NAME", Cut.MIDDLE),
        Column("QUEUE", Cut.MIDDLE, rank=3),
        Column("STATE", colours=tables.STATE_COLOURS),
        Column("TOOK", rank=1),
        Column("PROGRESS", Cut.END, rank=1, colours=_pale(progress, forecasts)),
        Column("WHEN", rank=2),
        Column(heading, Cut.MIDDLE, rank=4),
        Column("WHY", Cut.END, weight=2),
    ]
    shown = [index for index, one in enumerate(columns) if not is_for_people or shows.get(one.header, True)]
    table = Table([columns[index] for index in shown])
    for run, time, done, command, reason in zip(runs, took, progress, what, why, strict=True):
        when = tables.near(run.changed_at, moment) if is_for_people else tables.local(run.changed_at)
        # On a terminal, a queue of its own would only repeat the name.
        queue = "" if is_for_people and run.queue == run.name else run.queue
        row = (str(run.id), run.name, queue, str(run.state), time, done, when, command, reason)
        table.add_row(*(row[index] for index in shown))
    return table


def _pale(texts: Sequence[str], forecasts: Sequence[Forecast]) -> dict[str, str]:
    """Return the colours of progress: what only history tells is paler."""
    return {
        text: "bright_black"
        for text, forecast in zip(texts, forecasts, strict=True)
        if forecast.progress is not None and forecast.progress.report is None
    }


def _reasons(store: Store, folder: Folder, runs: Sequence[Run], waits: Waits) -> list[str]:
    """Return what each run waits for, or else the reason of its state."""
    found = [why or run.reason or "" for run, why in zip(runs, waits.of(runs), strict=True)]
    if (alone := unseen(store, folder)) is None:
        return found
    return [alone if run.state is State.RUNNING else why for run, why in zip(runs, found, strict=True)]
