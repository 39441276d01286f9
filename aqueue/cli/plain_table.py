"""Tables: fitted into a terminal, or with one tab between whole texts for programs."""

import os
import sys
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

import click
import msgspec

from aqueue.visible import visible_line

GAP: Final = 2
"""The number of spaces between two columns on a terminal."""

_MIN_WIDTH: Final = 10
"""The width below which no text is cut."""

_DEFAULT_WIDTH: Final = 80
_WITHOUT_COLOURS: Final = ("", "dumb", "unknown")
_ELLIPSIS: Final = "…"

_NARROW: Final = dict.fromkeys(map(ord, "…↵"), ".")
"""Characters of our own that take one column."""


class Cut(Enum):
    """The place where a text may be cut if the terminal is too narrow."""

    NEVER = auto()
    MIDDLE = auto()
    END = auto()


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        is_right: whether texts are right-aligned, as numbers are.
        rank: of the columns that do not fit, those with the highest rank are left out first, and 0 never.
        weight: its part of the room that the columns that can be cut share.
        colours: the colours of texts that have one.
    """

    header: str
    cut: Cut = Cut.NEVER
    is_right: bool = False
    rank: int = 0
    weight: int = 1
    colours: Mapping[str, str] = {}


class Table(msgspec.Struct, frozen=True):
    """A table: a header and rows, without lines."""

    columns: Sequence[Column]
    rows: list[Sequence[str]] = []

    def add_row(self, *texts: str) -> None:
        """Add a row, with a text for each column."""
        self.rows.append(texts)


def lines_of(table: Table) -> tuple[list[str], list[str]]:
    """Return the lines of a table for standard output, and the headers of the columns that do not fit into it."""
    if not sys.stdout.isatty():
        return tabbed(table), []
    return fitted(table, terminal_width(), coloured=has_colours())


def tabbed(table: Table) -> list[str]:
    """Return the lines of a table as programs read them: whole texts, with a tab between two."""
    rows = [[column.header for column in table.columns], *table.rows]
    return ["\t".join(_in_line(text) for text in row) for row in rows]


def fitted(table: Table, room: int, *, coloured: bool = True) -> tuple[list[str], list[str]]:
    """Return the lines of a table for a terminal, and the headers of the columns left out.

    Args:
        room: the width of the terminal. If even the columns that are never left out do not fit, lines are longer.
        coloured: whether the header is bold, and texts have their colours.
    """
    stacks = [
        [_in_line(text) for text in (column.header, *(row[index] for row in table.rows))]
        for index, column in enumerate(table.columns)
    ]
    natural = [max(map(width_of, stack)) for stack in stacks]
    shown = _columns_that_fit(table.columns, natural, room)
    widths = _widths([table.columns[index] for index in shown], [natural[index] for index in shown], room)
    padded = [
        _padded(table.columns[index], stacks[index], width, coloured=coloured)
        for index, width in zip(shown, widths, strict=True)
    ]
    left_out = [column.header for index, column in enumerate(table.columns) if index not in shown]
    return [(" " * GAP).join(row).rstrip() for row in zip(*padded, strict=True)], left_out


def _columns_that_fit(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    """Return the indices of the columns to show."""
    least = [_least(column, width) for column, width in zip(columns, natural, strict=True)]
    shown = [*range(len(columns))]
    while sum(least[index] + GAP for index in shown) - GAP > room:
        # Of the same rank, the last goes first.
        last = max(shown, key=lambda index: (columns[index].rank, index))
        if columns[last].rank == 0 or len(shown) == 1:
            break
        shown.remove(last)
    return shown


def _least(column: Column, natural: int) -> int:
    return natural if column.cut is Cut.NEVER else min(natural, max(_MIN_WIDTH, width_of(column.header)))


def _widths(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns that fit: those that can be cut share what the others leave."""
    widths, least = [*natural], [_least(column, width) for column, width in zip(columns, natural, strict=True)]
    flexible = [index for index, column in enumerate(columns) if column.cut is not Cut.NEVER]
    left = room - GAP * (len(columns) - 1) - sum(natural) + sum(natural[index] for index in flexible)
    weights = sum(columns[index].weight for index in flexible)
    reserved = sum(least[index] for index in flexible)
    # Those that need least of their share first: the rest of it is for the others.
    for index in sorted(flexible, key=lambda index: natural[index] / columns[index].weight):
        weight = columns[index].weight
        reserved -= least[index]
        share = min(left * weight // weights, left - reserved)
        widths[index] = max(min(natural[index], share), least[index])
        left -= widths[index]
        weights -= weight
    return widths


def _padded(column: Column, stack: Sequence[str], width: int, *, coloured: bool) -> list[str]:
    """Return the header and the texts of a column, each as wide as it is."""
    parts = []
    for number, text in enumerate(stack):
        short = cut(text, width, column.cut)
        blank = " " * (width - width_of(short))
        if coloured and number == 0:
            short = click.style(short, bold=True)
        elif coloured and text in column.colours:
            short = click.style(short, fg=column.colours[text])
        parts.append(blank + short if column.is_right else short + blank)
    return parts


def cut(text: str, width: int, where: Cut) -> str:
    """Return a text that takes at most so many columns, if it may be cut."""
    if where is Cut.NEVER or width_of(text) <= width:
        return text
    tail = (width - 1) // 2 if where is Cut.MIDDLE else 0
    end = _head(text[::-1], tail)[::-1]
    return _head(text, width - 1 - tail) + _ELLIPSIS + end


def _head(text: str, width: int) -> str:
    """Return the beginning of a text that is at most so wide."""
    if text.isascii():
        return text[:width]
    for index, letter in enumerate(text):
        width -= width_of(letter)
        if width < 0:
            return text[:index]
    return text


def width_of(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    if text.isascii() or text.translate(_NARROW).isascii():
        return len(text)
    # Imported here: it loads large tables of characters.
    from rich.cells import cell_len

    return cell_len(text)


def _in_line(text: str) -> str:
    """Return a text in one line, without tabs and control characters."""
    return text if text.isprintable() else visible_line(text).replace("\t", " ")


def terminal_width() -> int:
    """Return the width of the terminal that standard output is."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH


def has_colours() -> bool:
    """Return True if the terminal shows colours, and the user wants them."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "").lower() not in _WITHOUT_COLOURS
