"""Tables and JSON on standard output."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import click
import msgspec

from aqueue.cli.plain_table import Table, lines_of
from aqueue.model.run import Run
from aqueue.units import spell
from aqueue.visible import visible_json

STATE_COLOURS = {
    "held": "magenta",
    "queued": "yellow",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "aborted": "bright_black",
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


def print_table(table: Table) -> list[str]:
    """Print a table, and return the headers of the columns that do not fit into the terminal."""
    lines, left_out = lines_of(table)
    print_lines(lines)
    return left_out


def print_lines(lines: Iterable[str]) -> None:
    """Print the lines of tables, which are safe for a terminal."""
    click.echo("\n".join(lines))


def local(moment: float | None) -> str:
    """Return a time as a person here would read it."""
    return "" if moment is None else datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def near(moment: float, now: float) -> str:
    """Return a time as short as it can be: that of today, a day of this year with its time, or another day."""
    at, today = datetime.fromtimestamp(moment), datetime.fromtimestamp(now)
    if at.date() == today.date():
        return f"{at:%H:%M}"
    return f"{at:%b %d %H:%M}" if at.year == today.year else f"{at:%Y-%m-%d}"


def took(run: Run, now: float) -> str:
    """Return how long the last attempt took, or has taken so far."""
    time = run.lasted(now)
    return "" if time is None else spell(time)
