"""The values of a metric over those of a param, of many runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from aqueue.client.columns import Column, Columns, columns_of, distinct, find, known
from aqueue.client.selection import resolve_all
from aqueue.client.session import Warn, now, reading
from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.values import Scalar, is_number
from aqueue.units import counted

Point = tuple[Scalar, float]
"""The x and the y of a run."""


class Series(msgspec.Struct, frozen=True):
    """The points of the runs that have one value in common.

    Attributes:
        value: what they have in common; None for those without one, and where nothing is asked for.
    """

    value: Scalar
    points: Sequence[Point]


class Measured(NamedTuple):
    """All values of y that one series has at one x."""

    x: Scalar
    value: Scalar
    ys: list[float]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of runs.

    Attributes:
        x, y, by: the keys of the axes and of the series; `by` is None if there is one series.
        x_spellings, by_spellings: how values are written that are not written as usual.
    """

    x: str
    y: str
    by: str | None
    series: Sequence[Series]
    x_spellings: Mapping[Scalar, str] = {}
    by_spellings: Mapping[Scalar, str] = {}

    def measured(self) -> list[Measured]:
        """Return the values in the order of x, and for each x in that of the series."""
        found = [(series.value, by_x(series.points)) for series in self.series]
        xs = distinct(x for _, values in found for x in values)
        return [Measured(x, value, values[x]) for x in xs for value, values in found if x in values]

    def table(self) -> list[dict[str, Scalar]]:
        """Return a row for each x and series: how many runs there are, and the values of y."""
        from statistics import median

        return [
            {self.x: one.x}
            | ({} if self.by is None else {self.by: one.value})
            | {"runs": len(one.ys)}
            | {f"{name} {self.y}": of(one.ys) for name, of in (("min", min), ("median", median), ("max", max))}
            for one in self.measured()
        ]


def compare(
    folder: Folder, x: str, y: str, by: str | None, warn: Warn, *, group: str | None = None, tag: str | None = None
) -> Comparison:
    """Compare runs.

    Args:
        x: the param, metric or fact on the x-axis.
        y: the metric, or other number, on the y-axis.
        by: makes a series of each of its values.
        warn: is told how many runs are left out.
        group, tag: compare only runs that have them.

    Raises:
        RunError: there is no such group, no run, no such key, or no run that has both x and y.
    """
    with reading(folder) as store:
        ids = store.runs.ids(tag=tag, group=group)
        if group is not None and not ids:
            resolve_all(store, (), group)
        columns = columns_of(store.runs.each(ids), now())
    if not ids:
        raise RunError("there are no runs to compare", "`aqueue ls` lists all runs")
    x_column, y_column = find(columns, x, len(ids)), find(columns, y, len(ids))
    by_column = None if by is None else find(columns, by, len(ids))
    series, left_out = _series(ids, x_column, y_column, by_column)
    if left_out:
        warn(f"{counted(left_out, 'run')} left out: {x} or {y} is not a finite number")
    if not series:
        raise _nothing_in_common(columns, len(ids), x, y)
    return Comparison(
        x=x,
        y=y,
        by=by,
        series=series,
        x_spellings=x_column.spellings(),
        by_spellings={} if by_column is None else by_column.spellings(),
    )


def by_x(points: Iterable[Point]) -> dict[Scalar, list[float]]:
    """Return the values of y for each x, in the order of x."""
    found: dict[Scalar, list[float]] = {}
    for x, y in points:
        found.setdefault(x, []).append(y)
    return {x: found[x] for x in distinct(found)}


def _series(ids: Sequence[int], x: Column, y: Column, by: Column | None) -> tuple[list[Series], int]:
    """Return the runs as points, and how many of those that have both values were left out."""
    both = [id_ for id_ in ids if x.of(id_) is not None and y.of(id_) is not None]
    points: dict[Scalar, list[Point]] = {}
    for id_ in both:
        at, value = x.of(id_), y.of(id_)
        if is_number(value) and math.isfinite(value) and (not is_number(at) or math.isfinite(at)):
            points.setdefault(by.of(id_) if by else None, []).append((at, value))
    left_out = len(both) - sum(map(len, points.values()))
    without = [Series(None, points.pop(None))] if None in points else []
    return [Series(value, points[value]) for value in distinct(points)] + without, left_out


def _nothing_in_common(columns: Columns, count: int, x: str, y: str) -> RunError:
    return RunError(f"none of {counted(count, 'run')} has both {x} and a number as {y}", known(columns))
