"""Columns as they are printed."""

import math

import pytest

from aqueue.cli.columns import (
    chosen_columns,
    informative,
    measured_columns,
    print_columns_as_csv,
    shown,
    table_of,
)
from aqueue.cli.tables import local
from aqueue.client.columns import columns_of, more_of
from aqueue.errors import RunError
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


def measured(runs: list[Run]) -> tuple[list[list[str]], list[str]]:
    """The table of params and metrics, and the params left out because all runs share them."""
    columns, same = informative(measured_columns(known(runs)), ids(runs))
    table = table_of(columns, ids(runs), None)
    return [[column.header for column in table.columns], *map(list, table.rows)], [one.key for one in same]


def test_what_all_runs_have_in_common_is_not_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        a_member(1, {"lr": 1, "model": "m", "p": math.nan}, a=1),
        a_member(2, {"model": "m", "p": math.nan}, a=1),
    ]
    assert measured(runs) == (
        [
            ["ID", "NAME", "STATE", "lr", "a"],
            ["1", "train-1", "succeeded", "1", "1"],
            ["2", "train-2", "succeeded", "", "1"],
        ],
        ["model", "p"],
    )
    print_columns_as_csv(measured_columns(known(runs)), ids(runs))
    assert capsys.readouterr().out.splitlines() == [
        "id,name,state,lr,model,p,a", "1,train-1,succeeded,1,m,nan,1", "2,train-2,succeeded,,m,nan,1",
    ]  # fmt: skip


def test_what_all_have_in_common_is_shown_if_there_is_nothing_else() -> None:
    runs = [a_member(1, {"lr": 1, "on": True}), a_member(2, {"lr": 1, "on": True})]
    assert measured(runs)[0][0] == ["ID", "NAME", "STATE", "lr", "on"]
    assert measured(runs[:1])[0][0] == ["ID", "NAME", "STATE", "lr", "on"]
    differing = [a_member(1, {"on": True}), a_member(2, {"on": 1}), a_member(3, {"on": 1})]
    assert measured(differing)[0][0] == ["ID", "NAME", "STATE", "on"]


def test_columns_are_chosen_by_their_keys_and_shown_as_people_read_them() -> None:
    run = a_member(7, {"lr": 0.123456789, "text": "a\nb"}, when=1.5)
    keys = ["lr", "took", "command", "when", "when (column)", "text", "tags"]
    columns = chosen_columns(columns_of([run], 2000.0, more_of(keys)), keys, 1)
    table = table_of(columns, [7], None)
    assert [column.header for column in table.columns] == [
        "lr",
        "TOOK",
        "COMMAND",
        "when",
        "WHEN (COLUMN)",
        *keys[-2:-1],
        "TAGS",
    ]
    assert list(table.rows[0]) == ["0.123457", "7s", "true", "1.5", local(run.finished_at), "a b", ""]
    with pytest.raises(RunError, match="none of 1 run has 'no'") as caught:
        chosen_columns(columns_of([run], 2000.0), ["no"], 1)
    assert all(key in str(caught.value.hint) for key in ("took", "exit_code", "why", "lr"))
    assert [one.key for one in chosen_columns({}, ["no"], 0)] == ["no"]


def test_times_are_iso_in_csv(capsys: pytest.CaptureFixture[str]) -> None:
    run = a_member(1)
    print_columns_as_csv(chosen_columns(columns_of([run], 2000.0, ["created_at"]), ["created_at"], 1), [1])
    assert capsys.readouterr().out == "created_at\n1970-01-01T00:16:40.000Z\n"
