"""Tables for people."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from aqueue.client.views import seconds
from aqueue.model.run import Run, State
from aqueue.units import spell
from aqueue.visible import visible_json

if TYPE_CHECKING:
    from rich.table import Table

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


def print_table(table: "Table") -> None:
    """Print a table: as wide as the terminal, or as wide as it needs where nobody looks."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    Console(highlight=False, width=None if terminal else 1000, soft_wrap=False).print(table)


def new_table(*columns: str) -> "Table":
    """Return a table of the plain kind used throughout; a column whose name ends in … takes what room is left."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        wide = column.endswith("…")
        table.add_column(column.removesuffix("…").upper(), no_wrap=not wide, overflow="ellipsis")
    return table


def state_text(state: State) -> str:
    """Return the state in its colour, for rich."""
    return f"[{STATE_COLOURS[state]}]{state}[/]"


def local(moment: float | None) -> str:
    """Return a time as a person here would read it."""
    return "" if moment is None else datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(run: Run, now: float) -> str:
    """Return how long the last attempt took, or has taken so far."""
    time = seconds(run, now)
    return "" if time is None else spell(time)
