"""Params and metrics as columns: which there are, in which order runs come, and what people are shown."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.client.columns import FACTS, Columns, columns_of, distinct, find, in_order
from aqueue.errors import RunError
from aqueue.model.run import Run, State
from aqueue.model.values import Scalar
from tests.unit.records import a_run, a_task

NOW = 2000.0

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


def a_member(id_: int, params: dict[str, Any] | None = None, /, **metrics: Any) -> Run:
    task = a_task(name=f"train-{id_}", params=params or {})
    return a_run(task, id=id_, state=State.SUCCEEDED, finished_at=1001.0 + id_, took=float(id_), metrics=metrics)


def valued(*values: Scalar) -> list[Run]:
    """Runs of which each has one of the values as its only metric; None: it has none."""
    return [a_member(id_, None, **({} if value is None else {"m": value})) for id_, value in enumerate(values, 1)]


def ids(runs: list[Run]) -> list[int]:
    return [run.id for run in runs]


def known(runs: list[Run]) -> Columns:
    return columns_of(sorted(runs, key=lambda run: run.id), NOW)


def by(runs: list[Run], key: str) -> list[int]:
    return in_order(ids(runs), known(runs), key)


def keys(columns: Columns) -> list[str]:
    return [key for key in columns if key not in FACTS]


def test_columns_come_as_the_runs_have_them_facts_first_and_metrics_last() -> None:
    runs = [a_member(2, {"seed": 1, "lr": 2}, acc=1), a_member(1, {"lr": 1}, loss=1, acc=2), a_member(3)]
    columns = known(runs)
    assert list(columns) == [*FACTS, "lr", "seed", "loss", "acc"]
    assert [columns["seed"].of(run.id) for run in runs] == [1, None, None]
    assert [columns["loss"].of(run.id) for run in runs] == [None, 1, None]
    assert [columns[fact].of(runs[0].id) for fact in FACTS] == [2, "train-2", "train-2", "succeeded", 2.0]


def test_no_two_columns_have_the_same_name() -> None:
    run = a_member(1, {"lr": 0.1, "name": "n"}, **{"lr": 0.2, "lr (metric)": 0.3, "state": "s"})
    columns = columns_of([run], NOW)
    assert keys(columns) == ["lr", "name (param)", "lr (metric)", "lr (metric) (metric)", "state (metric)"]
    assert [columns[key].of(run.id) for key in keys(columns)] == [0.1, "n", 0.2, 0.3, "s"]


def test_a_column_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    columns = columns_of([a_member(1, {"lr": 1})], NOW)
    with pytest.raises(RunError, match="none of 1 run has 'los'") as error:
        find(columns, "los", 1)
    assert error.value.hint == "there are columns: id, name, queue, state, took; params: lr; no metrics"
    many = columns_of([a_member(1, None, **{f"m{number}": 1 for number in range(1000)})], NOW)
    with pytest.raises(RunError) as error:
        find(many, "los", 1)
    assert error.value.hint.endswith("m29 and 970 more")


def test_runs_are_sorted_up_and_down_and_those_without_a_value_are_last_both_ways() -> None:
    runs = valued(3, None, math.nan, -1.5, math.inf, None, 3.0, math.nan)
    assert by(runs, "m") == [4, 1, 7, 5, 3, 8, 2, 6]
    assert by(runs, "-m") == [5, 1, 7, 4, 3, 8, 2, 6]


def test_text_is_sorted_after_numbers_and_by_the_numbers_in_it() -> None:
    runs = valued("run-10", 2, "run-9", "Run-1", "9" * 5000, "run-", True)
    assert by(runs, "m") == [7, 2, 5, 4, 6, 3, 1]
    members = [a_member(id_) for id_ in (10, 9, 100)]
    assert by(members, "name") == [9, 10, 100]
    assert by(members, "-took") == [100, 10, 9]


def test_a_key_that_begins_with_a_minus_is_its_own_name_first() -> None:
    runs = [a_member(1, None, **{"-m": 2, "m": 1}), a_member(2, None, **{"-m": 1, "m": 2})]
    assert by(runs, "-m") == [2, 1]


def test_no_runs_are_in_any_order() -> None:
    assert by([], "whatever") == []


@pytest.mark.at_length
@given(st.lists(VALUES), st.sampled_from(["m", "-m"]))
def test_whatever_the_values_are_all_runs_are_sorted(values: list[Scalar], key: str) -> None:
    runs = [*valued(*values), a_member(len(values) + 1, m=0)]
    ordered = by(runs, key)
    assert sorted(ordered) == ids(runs)
    # Sorting what is sorted changes nothing: the order is one.
    assert in_order(ordered, known(runs), key) == ordered


def test_numbers_come_by_their_size_and_others_as_they_come() -> None:
    assert distinct([3, 0.5, 3, 1]) == [0.5, 1, 3]
    assert distinct(["small", "large", "small", "huge"]) == ["small", "large", "huge"]
    assert distinct([3, "a", 1]) == [3, "a", 1]
