"""The picture of a comparison, as far as a file tells what is in it."""

import math
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from aqueue.cli.plot import MAX_SERIES, Picture, Series, save
from aqueue.errors import RunError
from aqueue.model.values import Scalar

pytestmark = pytest.mark.at_length

SCATTERED = [(float(x), float(x)) for x in range(20)]


@pytest.fixture(autouse=True, scope="module")
def matplotlib() -> Any:
    # What it warns of while it is imported depends on what else is installed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")


def a_picture(*points: tuple[Scalar, float], **changes: Any) -> Picture:
    plain: dict[str, Any] = {"title": "train", "x": "lr", "y": "loss", "by": "", "series": [Series("", points)]}
    return Picture(**plain | changes)


def drawn(picture: Picture, directory: Path) -> str:
    """The picture as SVG."""
    file = directory / "plot.svg"
    save(picture, file)
    return file.read_text()


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", svg, re.DOTALL)


def lines(svg: str) -> list[int]:
    """Return the number of points of each line through medians."""
    found = re.findall(r'<path d="([^"]*)"[^>]*stroke: #0072b2; stroke-width: 1.6', svg)
    return [len(path.split("L")) for path in found]


@pytest.mark.parametrize(
    ("name", "start"),
    [("plot.png", b"\x89PNG"), ("plot.SVG", b"<?xml"), ("plot.pdf", b"%PDF"), ("ö.png", b"\x89PNG")],
)
def test_the_suffix_says_what_kind_of_file_it_is(tmp_path: Path, name: str, start: bytes) -> None:
    save(a_picture((1, 0.5), (2, 0.4)), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_a_picture_has_the_size_it_is_to_have(tmp_path: Path) -> None:
    save(a_picture((1, 0.5)), tmp_path / "plot.png")
    content = (tmp_path / "plot.png").read_bytes()
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (960, 600)


def test_the_axes_the_title_and_the_series_are_named(tmp_path: Path) -> None:
    series = [Series("adam", [(1, 0.5), (2, 0.4)]), Series("_sgd", [(1, 0.6)])]
    found = texts(drawn(a_picture(by="opt", series=series), tmp_path))
    assert {"train", "lr", "loss", "opt", "adam", "_sgd"} <= set(found)


def test_nothing_is_taken_for_a_formula(tmp_path: Path) -> None:
    picture = a_picture(("$x$", 0.5), ("a_1", 0.4), title="$", x=r"\frac$1$", y="$loss^2$", by="<b>")
    assert {"$x$", "a_1", "$", r"\frac$1$", "$loss^2$", "&lt;b&gt;"} <= set(texts(drawn(picture, tmp_path)))


def test_a_line_goes_through_the_medians(tmp_path: Path) -> None:
    svg = drawn(a_picture((1, 0.5), (1, 0.7), (2, 0.4), (3, 0.3), (3, 0.2)), tmp_path)
    assert lines(svg) == [3]
    assert len(re.findall(r"<use [^>]*fill: #0072b2", svg)) == 5


def test_where_each_run_is_somewhere_else_there_are_points_alone(tmp_path: Path) -> None:
    assert lines(drawn(a_picture(*SCATTERED), tmp_path)) == []
    assert lines(drawn(a_picture(*SCATTERED, *SCATTERED), tmp_path)) == [20]


@pytest.mark.parametrize(
    ("points", "log", "is_logarithmic"),
    [
        (((0.1, 1.0), (0.001, 2.0)), None, True),
        (((0.1, 1.0), (0.001, 2.0)), "", False),
        (((0.1, 1.0), (0.0011, 2.0)), None, False),
        (((0.1, 1.0), (0.0011, 2.0)), "x", True),
        (((0.0, 1.0), (100.0, 2.0)), None, False),
        (((-1.0, 1.0), (100.0, 2.0)), None, False),
        ((("a", 1.0), (100, 2.0)), None, False),
        (((1, 1.0), (2, 1000.0)), None, False),
        (((1, 1.0), (2, 1000.0)), "y", True),
        (((0.1, 1.0), (0.2, 2.0)), "xy", True),
    ],
)
def test_an_axis_is_logarithmic_where_it_suits_or_is_asked_for(
    tmp_path: Path, points: list[tuple[Scalar, float]], log: str | None, is_logarithmic: bool
) -> None:
    svg = drawn(a_picture(*points, log=log), tmp_path)
    # Only on a logarithmic axis there are powers.
    assert ("<tspan" in svg) is is_logarithmic


@pytest.mark.parametrize(("log", "what"), [("x", "lr"), ("y", "loss"), ("xy", "lr")])
def test_what_has_no_logarithm_is_refused(tmp_path: Path, log: str, what: str) -> None:
    for points in ([(0, 0.0), (1, 1.0)], [(-1, -1.0)]):
        with pytest.raises(RunError, match=f"{what} has values that are not positive numbers"):
            save(a_picture(*points, log=log), tmp_path / "plot.png")
    if "x" in log:
        with pytest.raises(RunError, match="lr has values that are not positive numbers"):
            save(a_picture(("a", 1.0), log=log), tmp_path / "plot.png")


def test_more_series_than_can_be_told_apart_are_refused(tmp_path: Path) -> None:
    series = [Series(str(number), [(1, float(number))]) for number in range(MAX_SERIES + 1)]
    with pytest.raises(RunError, match="--by seed makes 13 lines"):
        save(a_picture(by="seed", series=series), tmp_path / "plot.png")
    save(a_picture(by="seed", series=series[1:]), tmp_path / "plot.png")


def test_an_older_picture_stays_where_a_new_one_cannot_be_drawn(tmp_path: Path) -> None:
    file = tmp_path / "plot.png"
    save(a_picture((1, 0.5)), file)
    before = file.read_bytes()
    with pytest.raises(RunError):
        save(a_picture((1, -0.5), log="y"), file)
    assert file.read_bytes() == before


def test_odd_values_and_names_can_be_drawn(tmp_path: Path) -> None:
    for points in (
        [(1, 0.5)],
        [(2**62, 1e300), (-(2**62), -1e300)],
        [(1e-300, 5e-324)],
        [(True, 1.0), (False, 2.0)],
        [("日本", 1.0), ("", 2.0), ("x" * 200, math.pi)],
        [(f"experiment-{number}", float(number)) for number in range(40)],
        [(number, number % 7) for number in range(5000)],
    ):
        save(a_picture(*points), tmp_path / "plot.png")
