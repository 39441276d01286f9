"""Plots of comparisons. Only this module needs matplotlib, and only to draw."""

import os
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import msgspec

from aqueue.cli.columns import shown
from aqueue.client.columns import distinct
from aqueue.client.compare import Point, by_x
from aqueue.errors import AqueueError, RunError
from aqueue.model.values import Scalar, is_number

Axes = Any
"""The axes of matplotlib, whose types differ between versions."""

FORMATS: Final = ("png", "svg", "pdf")
"""The supported suffixes of picture files."""

MAX_SERIES: Final = 12
"""The maximum number of series; more cannot be distinguished."""

_WIDE = 100
_MANY = 150
_FEW = 12
_CROWDED = 50
_STYLE: Final[Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "0.4",
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "grid.color": "0.9",
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    "xtick.color": "0.3",
    "ytick.color": "0.3",
}
# The colours of Okabe and Ito, which colour-blind people can distinguish, and more.
_COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#000000", "#7f7f7f", "#8c564b", "#9467bd", "#bcbd22", "#e7298a",
)  # fmt: skip


class Series(msgspec.Struct, frozen=True):
    """A series of points.

    Attributes:
        name: the value that they share; empty if there is only one series.
        points: the pairs of x and y.
    """

    name: str
    points: Sequence[Point]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A plot to draw.

    Attributes:
        x, y, by: the names of the axes and of the series.
        spellings: the texts of values of x that are not shown in the default way.
        log: the logarithmic axes, of `x` and `y`; None: x if its values are far apart.
    """

    title: str
    x: str
    y: str
    by: str
    series: Sequence[Series]
    spellings: Mapping[Scalar, str] = {}
    log: str | None = None


def save(picture: Picture, file: Path) -> None:
    """Draw each point, and a line through the medians, into a file whose suffix is one of `FORMATS`.

    Raises:
        AqueueError: matplotlib is not installed.
        RunError: there are too many series, or a logarithmic axis has values that are not positive.
        OSError: the file cannot be written.
    """
    if len(picture.series) > MAX_SERIES:
        raise RunError(
            f"--by {picture.by} makes {len(picture.series)} lines, but a plot can have at most {MAX_SERIES}",
            "leave out --by, or choose something with fewer values",
        )
    scales = _logarithmic(picture)
    # Plots are drawn into files, whatever backend is configured.
    os.environ["MPLBACKEND"] = "agg"
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        why = "" if error.name == "matplotlib" else f", which cannot be imported: {error}"
        raise AqueueError(
            f"plots need matplotlib{why}", "install it in the environment of aqueue: pip install matplotlib"
        ) from None
    drawn = BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # For example, about characters that the font lacks.
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes: Axes = figure.add_subplot()
        _draw(picture, axes, scales)
        figure.savefig(drawn, format=file.suffix[1:].lower())
    # Written last, so that an error leaves an older picture unchanged.
    file.write_bytes(drawn.getvalue())


def _logarithmic(picture: Picture) -> str:
    """Return which axes are logarithmic."""
    sides = list(zip(*(point for series in picture.series for point in series.points), strict=True))
    values = dict(zip("xy", sides, strict=True))
    for axis in picture.log or "":
        if not all(is_number(value) and value > 0 for value in values[axis]):
            name = picture.x if axis == "x" else picture.y
            raise RunError(
                f"{name} has values that are not positive numbers, so its axis cannot be logarithmic",
                "leave that axis out of --log",
            )
    if picture.log is not None:
        return picture.log
    xs = values["x"]
    return "x" if all(is_number(x) and x > 0 for x in xs) and max(xs) >= _WIDE * min(xs) else ""


def _draw(picture: Picture, axes: Axes, logarithmic: str) -> None:
    from statistics import median

    xs = distinct(x for series in picture.series for x, _ in series.points)
    count = sum(len(series.points) for series in picture.series)
    # If few x have several points, a line through the medians goes through nearly all points, and hides them.
    is_scattered = len(xs) > _FEW and count < 2 * len(xs)
    dots: list[Any] = []
    for index, series in enumerate(picture.series):
        colour, medians = _COLOURS[index], {x: median(ys) for x, ys in by_x(series.points).items()}
        place = _places(xs, index, len(picture.series))
        dots += axes.plot(
            [place[x] for x, _ in series.points], [y for _, y in series.points], "o", color=colour,
            alpha=0.55, markersize=6 if count < _MANY else 3.5, markeredgewidth=0,
        )  # fmt: skip
        if not is_scattered:
            axes.plot([place[x] for x in medians], list(medians.values()), color=colour, linewidth=1.6)
    axes.set(title=_plain(picture.title), xlabel=_plain(picture.x), ylabel=_plain(picture.y))
    axes.margins(0.04)
    _set_scales(axes, xs, logarithmic)
    if picture.by:
        names = [_plain(series.name) for series in picture.series]
        axes.figure.legend(dots, names, title=_plain(picture.by), loc="outside right upper")


def _places(xs: Sequence[Scalar], index: int, count: int) -> dict[Scalar, float]:
    """Return the position of each x; for categories, the series are side by side."""
    numbers = [x for x in xs if is_number(x)]
    if len(numbers) == len(xs):
        return dict(zip(xs, numbers, strict=True))
    aside = (index - (count - 1) / 2) * min(0.1, 0.7 / count)
    return {x: at + aside for at, x in enumerate(xs)}


def _set_scales(axes: Axes, xs: Sequence[Scalar], logarithmic: str) -> None:
    if not all(map(is_number, xs)):
        names = [_plain(x) for x in xs]
        is_crowded = sum(map(len, names)) > _CROWDED
        turned = {"rotation": 90 if len(xs) > _FEW else 30, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(xs)), names, **turned if is_crowded else {})
    elif all(isinstance(x, int) for x in xs):
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axis in logarithmic:
        axes.set(**{f"{axis}scale": "log"})


def _plain(text: Scalar) -> str:
    """Return a value for display, so that matplotlib takes no part of it for a formula."""
    return shown(text).replace("$", r"\$")
