"""The command that compares metrics of runs."""

from pathlib import Path

import click

from aqueue.cli import plot
from aqueue.cli.columns import shown
from aqueue.cli.completion import column_option, group_option, tag_option
from aqueue.cli.context import find_folder
from aqueue.cli.options import directory_option
from aqueue.cli.output import note, report, say
from aqueue.cli.plain_table import Column, Table
from aqueue.cli.plot import Picture, Series
from aqueue.cli.tables import print_table
from aqueue.client.compare import Comparison
from aqueue.client.compare import compare as compare_runs
from aqueue.errors import UsageError
from aqueue.model.values import Scalar, is_number
from aqueue.units import counted
from aqueue.visible import visible_line

_AXES = {"x": "x", "y": "y", "both": "xy", "none": ""}


@click.command()
@directory_option
@group_option("Compare only runs in this group.")
@tag_option("Compare only runs with this tag: key=value, or key for any value.")
@column_option("-x", "x", required=True, help="Param, metric or column for the x-axis.")
@column_option("-y", "y", required=True, help="Metric, or other number, for the y-axis.")
@column_option("--by", help="Param, metric or column to draw a line for each value of.")
@click.option("--save", "file", metavar="FILE", help="Save a plot as .png, .svg or .pdf; needs matplotlib.")
@click.option(
    "--log",
    type=click.Choice(list(_AXES)),
    help="Logarithmic axes of the plot (default: x if its values are far apart).",
)
def compare(
    directory: str | None,
    group: str | None,
    tag: str | None,
    x: str,
    y: str,
    by: str | None,
    file: str | None,
    log: str | None,
) -> None:
    """Compare a metric of runs, as a table or a plot."""
    if file is not None and Path(file).suffix[1:].lower() not in plot.FORMATS:
        raise UsageError(f"{file}: this format is not supported", f"use one of .{', .'.join(plot.FORMATS)}")
    if log is not None and file is None:
        raise click.UsageError("--log is only for plots\nuse it with --save FILE")
    found = compare_runs(find_folder(directory), x, y, by, note, group=group, tag=tag)
    if file is None:
        _print(found)
        return
    picture = Picture(
        title=group or tag or "",
        x=x,
        y=y,
        by=by or "",
        series=[Series(_name(found, series.value), series.points) for series in found.series],
        spellings=found.x_spellings,
        log=None if log is None else _AXES[log],
    )
    plot.save(picture, Path(file))
    count = sum(len(series.points) for series in found.series)
    report(f"{file}: {y} over {x} of {counted(count, 'run')}")


def _name(found: Comparison, value: Scalar) -> str:
    """Return the name of a series; empty if there is only one."""
    if value is None:
        return f"no {found.by}" if found.by else ""
    return shown(found.by_spellings.get(value, value))


def _print(found: Comparison) -> None:
    from statistics import median

    rows = found.measured()
    are_numbers = all(is_number(row.x) for row in rows)
    columns = [
        Column(found.x, is_right=are_numbers),
        *([Column(found.by)] if found.by else []),
        *(Column(header, is_right=True) for header in ("N", "MIN", "MEDIAN", "MAX")),
    ]
    table = Table(columns)
    for row in rows:
        name = [_name(found, row.value)] if found.by else []
        numbers = [shown(of(row.ys)) for of in (min, median, max)]
        table.add_row(shown(found.x_spellings.get(row.x, row.x)), *name, str(len(row.ys)), *numbers)
    say("", head=click.style(visible_line(f"{found.y} over {found.x}"), bold=True))
    print_table(table)
