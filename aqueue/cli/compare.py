"""The command that compares metrics of runs."""

import math
from collections.abc import Sequence
from pathlib import Path

import click

from aqueue.cli import plot
from aqueue.cli.columns import Stack, print_aligned, shown
from aqueue.cli.completion import group_option
from aqueue.cli.context import find_folder
from aqueue.cli.options import directory_option
from aqueue.cli.output import report, say
from aqueue.cli.plot import Picture, Series
from aqueue.client.columns import Columns, columns_of, distinct, find, known
from aqueue.client.session import now, reading, resolve_all
from aqueue.errors import RunError, UsageError
from aqueue.model.values import Scalar, is_number
from aqueue.units import counted
from aqueue.visible import visible_line

_AXES = {"x": "x", "y": "y", "both": "xy", "none": ""}


@click.command()
@directory_option
@group_option("Compare only runs in this group.")
@click.option("--tag", metavar="TAG", help="Compare only runs with this tag: key=value, or key for any value.")
@click.option("-x", "x", metavar="KEY", required=True, help="Param, metric or column for the x-axis.")
@click.option("-y", "y", metavar="KEY", required=True, help="Metric, or other number, for the y-axis.")
@click.option("--by", metavar="KEY", help="Param, metric or column to draw a line for each value of.")
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
    with reading(find_folder(directory)) as store:
        ids = store.runs.ids(tag=tag, group=group)
        if group is not None and not ids:
            resolve_all(store, (), group)
        columns = columns_of(store.runs.each(ids), now())
    if not ids:
        raise RunError("there are no runs to compare", "`aqueue ls` lists all runs")
    picture = Picture(
        title=group or tag or "",
        x=x,
        y=y,
        by=by or "",
        series=_series(ids, columns, x, y, by),
        spellings=find(columns, x, len(ids)).spellings(),
        log=None if log is None else _AXES[log],
    )
    if file is None:
        _print(picture)
        return
    plot.save(picture, Path(file))
    count = sum(len(series.points) for series in picture.series)
    report(f"{file}: {y} over {x} of {counted(count, 'run')}")


def _series(ids: Sequence[int], columns: Columns, x: str, y: str, by: str | None) -> list[Series]:
    """Return the runs as points, in one series for each value of `by`; print how many were left out.

    Raises:
        RunError: there are no points.
    """
    x_of, y_of = find(columns, x, len(ids)).of, find(columns, y, len(ids)).of
    beside = find(columns, by, len(ids)) if by is not None else None
    both = [id_ for id_ in ids if x_of(id_) is not None and y_of(id_) is not None]
    points: dict[Scalar, list[tuple[Scalar, float]]] = {}
    for id_ in both:
        at, value = x_of(id_), y_of(id_)
        if is_number(value) and math.isfinite(value) and (not is_number(at) or math.isfinite(at)):
            points.setdefault(beside.of(id_) if beside else None, []).append((at, value))
    if left := len(both) - sum(map(len, points.values())):
        say(f"{counted(left, 'run')} left out: {x} or {y} is not a finite number", err=True)
    if not points:
        raise RunError(f"none of {counted(len(ids), 'run')} has both {x} and a number as {y}", known(columns))
    lacking = [Series(f"no {by}" if by else "", points.pop(None))] if None in points else []
    spellings = beside.spellings() if beside else {}
    return [Series(shown(spellings.get(value, value)), points[value]) for value in distinct(points)] + lacking


def _print(picture: Picture) -> None:
    from statistics import median

    found = [(series.name, series.by_x()) for series in picture.series]
    xs = distinct(x for _, values in found for x in values)
    rows = [(x, name, values[x]) for x in xs for name, values in found if x in values]
    measured = [values for _, _, values in rows]
    stacks = [
        Stack(
            picture.x, [shown(picture.spellings.get(x, x)) for x, _, _ in rows], is_right=all(map(is_number, xs))
        ),
        *([Stack(picture.by, [name for _, name, _ in rows])] if picture.by else []),
        Stack("N", [str(len(values)) for values in measured], is_right=True),
        *(
            Stack(header, [shown(of(values)) for values in measured], is_right=True)
            for header, of in (("MIN", min), ("MEDIAN", median), ("MAX", max))
        ),
    ]
    say("", head=click.style(visible_line(f"{picture.y} over {picture.x}"), bold=True))
    print_aligned(stacks, at_least=len(stacks))
