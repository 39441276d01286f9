"""Printed columns of facts, params and metrics: as CSV, or as a table."""

import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import click
import msgspec

from aqueue.cli import tables
from aqueue.cli.output import say
from aqueue.client.columns import FACTS, Column, Columns, Facts, Kind
from aqueue.model.values import Value, is_number, plain_text, stands_for
from aqueue.units import counted

_SHOWN_FACTS: Final = ("id", "name", "state")
_GAP = "  "
_PLAIN: Mapping[str, str] = {}
_STATES = {str(state): colour for state, colour in tables.STATE_COLOURS.items()}
_LONGEST_TEXT = 40


def print_facts(rows: Iterable[Facts]) -> None:
    """Print the rows of `ls` as CSV."""
    _print_csv((*FACTS, "why"), rows)


def print_measured(ids: Sequence[int], known: Columns, *, as_csv: bool) -> None:
    """Print a table of params and metrics.

    A table leaves out params that all runs share, unless all params are shared, and columns that do not fit.

    Args:
        ids: the ids of the runs, in the order of the rows.
        known: the columns of these runs.
        as_csv: whether to print all columns as CSV.
    """
    columns = [column for column in known.values() if column.kind is not Kind.FACT or column.key in _SHOWN_FACTS]
    if as_csv:
        rows = ([column.written(id_) for column in columns] for id_ in ids)
        _print_csv([column.key for column in columns], rows)
    else:
        _print_table(_informative(columns, ids), ids)


def _print_csv(header: Sequence[str], rows: Iterable[Iterable[Value]]) -> None:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([plain_text(value) for value in row] for row in rows)
    click.echo(out.getvalue(), nl=False)


def _print_table(columns: Sequence[Column], ids: Sequence[int]) -> None:
    stacks = [
        Stack(
            column.key.upper() if column.kind is Kind.FACT else column.key,
            [shown(column.written(id_)) for id_ in ids],
            is_right=_is_numeric(column),
            colours=_STATES if column.key == "state" and column.kind is Kind.FACT else _PLAIN,
        )
        for column in columns
    ]
    if left := print_aligned(stacks, at_least=len(_SHOWN_FACTS)):
        say(f"{counted(left, 'more column')}; --csv and --json show all", err=True)


class Stack(msgspec.Struct, frozen=True):
    """A printed column of short texts.

    Attributes:
        is_right: whether texts are right-aligned, as numbers are.
        colours: the colours of texts that have one.
    """

    header: str
    texts: Sequence[str]
    is_right: bool = False
    colours: Mapping[str, str] = _PLAIN


def print_aligned(stacks: Sequence[Stack], at_least: int = 1) -> int:
    """Print columns as a table, as many as fit into the terminal.

    It is fast enough for thousands of runs; rich takes a millisecond for each row.

    Args:
        at_least: the number of columns that are printed even if they do not fit.

    Returns:
        the number of columns left out.
    """
    # Imported here: it loads large tables of characters.
    from rich.cells import cell_len

    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    padded: list[list[str]] = []
    used = 0
    for stack in stacks:
        sizes = [cell_len(text) for text in (shown(stack.header), *stack.texts)]
        width = max(sizes)
        used += width + (len(_GAP) if padded else 0)
        if used > room and len(padded) >= at_least:
            break
        styled = [click.style(shown(stack.header), bold=True), *(_coloured(text, stack) for text in stack.texts)]
        blanks = [" " * (width - size) for size in sizes]
        pairs = zip(blanks, styled, strict=True) if stack.is_right else zip(styled, blanks, strict=True)
        padded.append([first + second for first, second in pairs])
    click.echo("\n".join(_GAP.join(row).rstrip() for row in zip(*padded, strict=True)))
    return len(stacks) - len(padded)


def _coloured(text: str, stack: Stack) -> str:
    return click.style(text, fg=stack.colours[text]) if text in stack.colours else text


def shown(value: Value) -> str:
    """Return a value for display: short, in one line, and with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "".join(letter if letter.isprintable() else " " for letter in plain_text(value))
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _informative(columns: Sequence[Column], ids: Sequence[int]) -> list[Column]:
    """Return the columns without params that all of several runs share, unless all params are."""
    params = [column for column in columns if column.kind is Kind.PARAM]
    same = {column.key for column in params if len(ids) > 1 and _is_same(column, ids)}
    if len(same) == len(params):
        return list(columns)
    return [column for column in columns if column.key not in same]


def _is_same(column: Column, ids: Sequence[int]) -> bool:
    # Compared as text, because NaN is not equal to itself, and 1 equals True.
    return len({repr(column.written(id_)) for id_ in ids}) == 1


def _is_numeric(column: Column) -> bool:
    return column.kind is not Kind.FACT and all(
        value is None or is_number(stands_for(value)) for value in column.values.values()
    )
