"""Text that looks like several values: what it seems to mean, and where that is told."""

import pytest

from aqueue.formats.lookalikes import is_range, meant_by, meant_by_axis
from aqueue.formats.sweep_syntax import parse_axis
from tests.unit.formats.test_sweep_syntax import problem_of

TEXT = "put it under params"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1..5", "range(1, 6)"), (" 1...5 ", "range(1, 6)"), ("1…5", "range(1, 6)"), ("1 to 5", "range(1, 6)"),
        ("-3..3", "range(-3, 4)"), ("5..1", "range(5, 0, -1)"), ("1..10..2", "range(1, 11, 2)"),
        ("0.1..0.5", "uniform(0.1, 0.5)"), ("0.1, 0.01", "[0.1, 0.01]"),
        ("adam,sgd", "[adam, sgd]"), ("1 2 3", "[1, 2, 3]"), ("range 1 5", "range(1, 5)"),
        ("Range(1, 5)", "range(1, 5)"), ("range (1, 5)", "range(1, 5)"), ("range(1..5)", "range(1, 6)"),
        ("choices(a, b)", "choice(…)"), ("linspace(0, 1, 5)", "[0, 0.25, 0.5, 0.75, 1]"),
        ("linspace(0, 1)", "[…]"), ("linspace(0, 1, 99)", "[…]"), ("logspace(0, 1, 5)", "[…]"),
        ("Range(1", "range(…)"),
    ],
)  # fmt: skip
def test_what_seems_to_be_meant_is_told_as_it_is_written_here(text: str, meant: str) -> None:
    assert meant_by(text) == meant_by_axis(text) == meant
    if "…" not in meant:
        assert not isinstance(parse_axis(meant), str)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1-5", "range(1, 6)"), ("1:5", "range(1, 6)"), ("1:10:2", "range(1, 11, 2)"),
        ("1.5-2.5", "uniform(1.5, 2.5)"),
    ],
)  # fmt: skip
def test_what_may_as_well_be_a_time_or_a_part_of_a_number_means_several_only_in_a_matrix(
    text: str, meant: str
) -> None:
    assert meant_by_axis(text) == meant
    assert meant_by(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "", "adam", "12:05", "5-1", "2026-11", "2026-11-22", "10.0.0.1", "1.2.3", "v1-2", "a-b", "001-005",
        "f(1, 2)", "orange(1)", "../x", "a..b", "python train.py", "0x1F", "1_000", "range", "x[1]", "1..", "..5",
    ],
)  # fmt: skip
def test_other_text_means_itself(text: str) -> None:
    assert meant_by(text) == ""
    assert not is_range(text)
    assert parse_axis(text) == (text,)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            "1..5",
            f"'1..5' is text, not a range; write range(1, 6), which excludes its end; or, if it is text, {TEXT}",
        ),
        (
            "1-5",
            f"'1-5' is text, not a range; write range(1, 6), which excludes its end; or, if it is text, {TEXT}",
        ),
        ("a, b", f"'a, b' is text, not a list; write [a, b]; or, if it is text, {TEXT}"),
        (
            ["1..5"],
            f"'1..5' is text, not a range; write range(1, 6), which excludes its end; or, if it is text, {TEXT}",
        ),
        ("[1..5]", "'[1..5]': '1..5' is text, not a range; write range(1, 6), which excludes its end"),
        ("choice(1..5)", "'choice(1..5)': '1..5' is text, not a range; write range(1, 6)"),
        ("range(1..5)", "'range(1..5)': expected numbers, got '1..5'; write range(1, 6)"),
        ("range(1:5)", "'range(1:5)': expected numbers, got '1:5'"),
    ],
)
def test_one_value_that_looks_like_several_is_refused_with_how_they_are_written(
    written: object, problem: str
) -> None:
    assert problem_of(written).startswith(problem)


@pytest.mark.parametrize("written", [["a, b"], ["1..5", "6..9"], ["1-5", 7], ["64 64"]])
def test_what_stands_in_a_list_is_meant_as_it_is(written: list[object]) -> None:
    assert parse_axis(written) == tuple(written)
