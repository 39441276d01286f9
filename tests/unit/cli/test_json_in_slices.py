"""A long list as JSON, a slice at a time."""

from typing import Any

import pytest

from aqueue.cli import tables

ROWS: list[Any] = [{"a": 1, "tags": []}, {"b": {"c": [1, 2]}, "d": None}, {"e": "]\n\x7f"}]


@pytest.mark.parametrize(
    "slices", [[], [[]], [ROWS], [[row] for row in ROWS], [[], ROWS[:2], [], ROWS[2:], []], [["]", ["["]]]]
)
def test_the_slices_make_the_document_that_the_whole_list_makes(
    slices: list[list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    tables.print_json([row for part in slices for row in part])
    assert "".join(tables.json_of_slices(slices)) == capsys.readouterr().out
