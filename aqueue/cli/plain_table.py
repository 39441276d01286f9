"""Tables that need no layout by rich: all texts are simple, and they fit."""

import os
import sys
from collections.abc import Sequence

import click
import msgspec

GAP = 2
"""The number of spaces between two columns."""

WIDTH = 1000
"""The maximum width of a table if standard output is not a terminal."""

_ABOUT_TERMINALS = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
_WITHOUT_COLOURS = ("", "dumb", "unknown")


class Cell(msgspec.Struct, frozen=True):
    """A text in a table, perhaps in a colour."""

    text: str
    colour: str | None = None


class Table(msgspec.Struct, frozen=True):
    """A plain table: a header and rows, without lines.

    Attributes:
        columns: the headers; a column whose name ends in … takes the remaining width.
    """

    columns: Sequence[str]
    rows: list[list[Cell]] = []

    def add_row(self, *cells: str | Cell) -> None:
        """Add a row, with a cell for each column."""
        self.rows.append([cell if isinstance(cell, Cell) else Cell(cell) for cell in cells])

    @property
    def header(self) -> list[str]:
        """Return the headers as they are printed."""
        return [column.removesuffix("…").upper() for column in self.columns]


def lines_of(table: Table) -> list[str] | None:
    """Return the lines of a table; None if rich must lay it out, or examine the terminal."""
    texts = [table.header, *([cell.text for cell in row] for row in table.rows)]
    if any(key in os.environ for key in _ABOUT_TERMINALS):
        return None
    if not all(_is_simple(text) for row in texts for text in row):
        return None
    on_terminal = sys.stdout.isatty()
    if on_terminal and os.environ.get("TERM", "").lower() in _WITHOUT_COLOURS:
        return None
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) > (_terminal_width() if on_terminal else WIDTH):
        return None
    header = _line([Cell(text) for text in table.header], widths, bold=on_terminal)
    return [header, *(_line(row, widths, coloured=on_terminal) for row in table.rows)]


def _line(cells: Sequence[Cell], widths: Sequence[int], *, bold: bool = False, coloured: bool = False) -> str:
    parts = []
    for cell, width in zip(cells, widths, strict=True):
        colour = cell.colour if coloured else None
        styled = click.style(cell.text, fg=colour, bold=bold or None) if bold or colour else cell.text
        parts.append(styled + " " * (width - len(cell.text)))
    return (" " * GAP).join(parts)


def _is_simple(text: str) -> bool:
    """Return True if each character takes one column, and none has a meaning for rich."""
    return text.isascii() and text.isprintable() and not set(text) & {"[", "\\"} and text.count(":") < 2


def _terminal_width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 0
