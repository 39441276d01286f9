"""Columns as they are printed."""

import math

import pytest

from aqueue.cli.columns import print_measured, shown
from aqueue.model.run import Run
from aqueue.model.values import Scalar
from tests.unit.client.test_columns import a_member, ids, known


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345678, "0.123457"), (1e-9, "1e-09"), (3.0, "3"), (1234567, "1234567"), (math.nan, "nan"),
        (True, "true"), (None, ""), ("x" * 41, "x" * 39 + "…"), ("a\nb\x1b[31m", "a b [31m"),
    ],
)  # fmt: skip
def test_people_are_shown_what_fits_into_a_table(value: Scalar, text: str) -> None:
    assert shown(value) == text


def printed(capsys: pytest.CaptureFixture[str], runs: list[Run]) -> list[list[str]]:
    print_measured(ids(runs), known(runs), as_csv=False)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_what_all_runs_have_in_common_is_not_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        a_member(1, {"lr": 1, "model": "m", "p": math.nan}, a=1),
        a_member(2, {"model": "m", "p": math.nan}, a=1),
    ]
    assert printed(capsys, runs) == [
        ["ID", "NAME", "STATE", "lr", "a"],
        ["1", "train-1", "succeeded", "1", "1"],
        ["2", "train-2", "succeeded", "1"],
    ]
    print_measured(ids(runs), known(runs), as_csv=True)
    assert capsys.readouterr().out.splitlines() == [
        "id,name,state,lr,model,p,a", "1,train-1,succeeded,1,m,nan,1", "2,train-2,succeeded,,m,nan,1",
    ]  # fmt: skip


def test_what_all_have_in_common_is_shown_if_there_is_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_member(1, {"lr": 1, "on": True}), a_member(2, {"lr": 1, "on": True})]
    assert printed(capsys, runs)[0] == ["ID", "NAME", "STATE", "lr", "on"]
    assert printed(capsys, runs[:1])[0] == ["ID", "NAME", "STATE", "lr", "on"]
    differing = [a_member(1, {"on": True}), a_member(2, {"on": 1}), a_member(3, {"on": 1})]
    assert printed(capsys, differing)[0] == ["ID", "NAME", "STATE", "on"]


def test_where_nobody_looks_there_is_room_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_member(1, None, **{f"m{number:03}": number for number in range(1000)})]
    header, row = printed(capsys, runs)
    assert (header[-1], row[-1], len(row)) == ("m999", "999", 1003)


def test_wide_letters_are_as_wide_as_they_look(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_member(1, None, opt="日本", n=1), a_member(2, None, opt="sgd", n=22)]
    print_measured(ids(runs), known(runs), as_csv=False)
    assert capsys.readouterr().out.splitlines() == [
        "ID  NAME     STATE      opt    n",
        "1   train-1  succeeded  日本   1",
        "2   train-2  succeeded  sgd   22",
    ]


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, [a_member(1, None, **{"[red]m[/]": "[bold]x[/]"})]) == [
        ["ID", "NAME", "STATE", "[red]m[/]"], ["1", "train-1", "succeeded", "[bold]x[/]"],
    ]  # fmt: skip
