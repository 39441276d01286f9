"""Facts, params and metrics of runs as tables, and as CSV."""

from collections.abc import Iterable, Sequence
from typing import Final

import click

from aqueue.cli.plain_table import Column, Cut, Table
from aqueue.cli.tables import STATE_COLOURS, local, near
from aqueue.client.columns import FACTS, MORE_FACTS, TIMES, Columns, Kind, find
from aqueue.client.columns import Column as Values
from aqueue.client.views.times import iso
from aqueue.model.values import Value, is_number, plain_text, stands_for
from aqueue.units import spell

_ALWAYS: Final = ("id", "name", "state")
"""The facts that a table of params and metrics has, and that are never left out."""

_LONGEST_TEXT: Final = 40


def print_csv(header: Sequence[str], rows: Iterable[Iterable[Value]]) -> None:
    """Print rows as CSV."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([plain_text(value) for value in row] for row in rows)
    click.echo(out.getvalue(), nl=False)


def chosen_columns(known: Columns, keys: Sequence[str], count: int) -> list[Values]:
    """Return the columns with these keys.

    Args:
        count: the number of runs; if there are none, the columns are empty.

    Raises:
        RunError: no run has one of them.
    """
    if not count:
        return [Values(key, Kind.FACT, {}) for key in keys]
    return [find(known, key, count, MORE_FACTS) for key in keys]


def measured_columns(known: Columns) -> list[Values]:
    """Return the columns of params and metrics, after those that say which runs they are of."""
    return [column for column in known.values() if column.kind is not Kind.FACT or column.key in _ALWAYS]


def print_columns_as_csv(columns: Sequence[Values], ids: Sequence[int]) -> None:
    """Print columns as CSV, with times as in JSON."""
    rows = ([_for_programs(column, column.written(id_)) for column in columns] for id_ in ids)
    print_csv([column.key for column in columns], rows)


def _for_programs(column: Values, value: Value) -> Value:
    return iso(value) if _is_time(column) and isinstance(value, float) else value


def table_of(columns: Sequence[Values], ids: Sequence[int], now: float | None) -> Table:
    """Return columns as a table, with a row for each run.

    Args:
        now: for times relative to it; None: in full.
    """
    table = Table([_layout(column) for column in columns])
    for id_ in ids:
        table.add_row(*(_for_people(column, column.written(id_), now) for column in columns))
    return table


def _layout(column: Values) -> Column:
    """Return how a column is laid out: facts of a run are never cut, but for texts."""
    is_fact, key = column.kind is Kind.FACT, column.key
    rank = 0 if is_fact and key in _ALWAYS else 1
    if is_fact and key == "state":
        return Column("STATE", colours=STATE_COLOURS)
    if is_fact and key in ("name", "queue", "group"):
        return Column(key.upper(), Cut.MIDDLE, rank=rank)
    if is_fact and (key in ("id", "took") or _is_time(column)):
        return Column(key.upper(), rank=rank)
    if _is_numeric(column):
        return Column(key.upper() if is_fact else key, is_right=True, rank=rank)
    return Column(key.upper() if is_fact else key, Cut.END, rank=rank)


def _for_people(column: Values, value: Value, now: float | None) -> str:
    if column.kind is Kind.FACT and isinstance(value, float):
        if _is_time(column):
            return local(value) if now is None else near(value, now)
        if column.key == FACTS[-1]:
            return spell(value)
    return f"{value:.6g}" if isinstance(value, float) else plain_text(value).replace("\n", " ")


def _is_time(column: Values) -> bool:
    return column.kind is Kind.FACT and column.key.partition(" ")[0] in TIMES


def shown(value: Value) -> str:
    """Return a value for display: short, in one line, and with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "".join(letter if letter.isprintable() else " " for letter in plain_text(value))
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def informative(columns: Sequence[Values], ids: Sequence[int]) -> tuple[list[Values], list[Values]]:
    """Return the columns without params that several runs share, unless they share all; and those params."""
    params = [column for column in columns if column.kind is Kind.PARAM]
    same = [column for column in params if len(ids) > 1 and _is_same(column, ids)]
    if len(same) == len(params):
        return list(columns), []
    return [column for column in columns if column not in same], same


def _is_same(column: Values, ids: Sequence[int]) -> bool:
    # Compared as text, because NaN is not equal to itself, and 1 equals True.
    return len({repr(column.written(id_)) for id_ in ids}) == 1


def _is_numeric(column: Values) -> bool:
    values = [value for value in column.values.values() if value is not None]
    return bool(values) and all(is_number(stands_for(value)) for value in values)
