"""Tables and JSON on standard output."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import click
import msgspec

from aqueue.cli.plain_table import GAP, WIDTH, Cell, Table, lines_of
from aqueue.model.run import Run, State
from aqueue.units import spell
from aqueue.visible import visible_json

STATE_COLOURS = {
    State.HELD: "magenta",
    State.QUEUED: "yellow",
    State.RUNNING: "blue",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.ABORTED: "bright_black",
}


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(_json(value))


def json_of_slices(slices: Iterable[list[Any]]) -> Iterator[str]:
    """Yield the JSON of a list that comes in slices, piece by piece, as `print_json` prints it whole."""
    before, end = "[", "]\n"
    for part in filter(None, slices):
        yield before + _json(part).removeprefix("[").removesuffix("\n]")
        before, end = ",", "\n]\n"
    yield end if before == "," else before + end


def _json(value: Any) -> str:
    return visible_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(table: Table) -> None:
    """Print a table: as wide as the terminal, or as wide as it needs where nobody looks."""
    lines = lines_of(table)
    if lines is None:
        print_by_rich(table)
    else:
        click.echo("\n".join(lines))


def print_by_rich(table: Table) -> None:
    """Print a table that may need more: wide letters, or less room than all of it takes."""
    # Imported here, as it takes a while: most tables are simple.
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    laid_out = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for column, header in zip(table.columns, table.header, strict=True):
        laid_out.add_column(header, no_wrap=not column.endswith("…"), overflow="ellipsis")
    for row in table.rows:
        texts = [(escape(cell.text), cell.colour) for cell in row]
        laid_out.add_row(*(f"[{colour}]{text}[/]" if colour else text for text, colour in texts))
    terminal = sys.stdout.isatty()
    Console(highlight=False, width=None if terminal else WIDTH, soft_wrap=False).print(laid_out)


def state_cell(state: State) -> Cell:
    """Return the state in its colour."""
    return Cell(str(state), STATE_COLOURS[state])


def local(moment: float | None) -> str:
    """Return a time as a person here would read it."""
    return "" if moment is None else datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(run: Run, now: float) -> str:
    """Return how long the last attempt took, or has taken so far."""
    time = run.lasted(now)
    return "" if time is None else spell(time)
