"""Tables as they are printed: on terminals of any width, and for programs."""

import io
import re
import sys
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aqueue.cli.plain_table import Column, Cut, Table, fitted, lines_of, tabbed, width_of
from aqueue.cli.tables import STATE_COLOURS

TEXTS = st.text(max_size=60)
COLUMNS = st.builds(
    Column,
    st.text("abcXYZ", min_size=1, max_size=8),
    st.sampled_from(Cut),
    st.booleans(),
    st.integers(0, 3),
    st.integers(1, 3),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns = draw(st.lists(COLUMNS, min_size=1, max_size=6, unique_by=lambda one: one.header))
    return Table(columns, draw(st.lists(st.tuples(*[TEXTS] * len(columns)), max_size=4)))


def runs() -> Table:
    table = Table(
        [
            Column("ID"),
            Column("NAME", Cut.MIDDLE),
            Column("STATE", colours=STATE_COLOURS),
            Column("WHEN", rank=1),
            Column("COMMAND", Cut.END, rank=2),
        ]
    )
    table.add_row("10", "resnet50-imagenet-baseline-seed-1", "succeeded", "14:03", "python train.py --lr 0.1")
    table.add_row("9", "日本語の名前はとても長いです-2", "failed", "14:02", "python train.py --lr 0.01")
    return table


@pytest.mark.parametrize(
    ("room", "lines"),
    [
        (
            90,
            [
                "ID  NAME                               STATE      WHEN   COMMAND",
                "10  resnet50-imagenet-baseline-seed-1  succeeded  14:03  python train.py --lr 0.1",
                "9   日本語の名前はとても長いです-2     failed     14:02  python train.py --lr 0.01",
            ],
        ),
        (
            60,
            [
                "ID  NAME                STATE      WHEN   COMMAND",
                "10  resnet50-…e-seed-1  succeeded  14:03  python train.py -…",
                "9   日本語の…いです-2   failed     14:02  python train.py -…",
            ],
        ),
        (
            40,
            [
                "ID  NAME                STATE      WHEN",
                "10  resnet50-…e-seed-1  succeeded  14:03",
                "9   日本語の…いです-2   failed     14:02",
            ],
        ),
    ],
)
def test_ids_and_states_stay_whole_and_names_lose_their_middle(room: int, lines: list[str]) -> None:
    shown, left_out = fitted(runs(), room, coloured=False)
    assert shown == lines
    assert left_out == (["COMMAND"] if room == 40 else [])


def test_where_nothing_fits_what_must_be_there_is_there() -> None:
    shown, left_out = fitted(runs(), 10, coloured=False)
    assert (shown[0].split(), left_out) == (["ID", "NAME", "STATE"], ["WHEN", "COMMAND"])


@given(tables(), st.integers(1, 120))
def test_columns_stand_in_line_and_are_cut_only_as_far_as_needed(table: Table, room: int) -> None:
    lines, left_out = fitted(table, room, coloured=False)
    shown = [column for column in table.columns if column.header not in left_out]
    assert len(lines) == 1 + len(table.rows)
    assert not any(unicodedata.category(letter) == "Cc" for line in lines for letter in line)
    if max(map(cell_len, lines)) > room:
        assert all(column.rank == 0 for column in shown) or len(shown) <= 1
    if all(column.cut is not Cut.NEVER for column in shown) and len(shown) * 12 - 2 <= room:
        assert max(map(cell_len, lines)) <= room
    whole, _ = fitted(table, 10_000, coloured=False)
    if max(map(cell_len, whole)) <= room and not left_out:
        assert lines == whole


@given(tables())
def test_programs_get_whole_texts_between_tabs(table: Table) -> None:
    lines = tabbed(table)
    assert all(line.count("\t") == len(table.columns) - 1 for line in lines)
    for line, row in zip(lines[1:], table.rows, strict=True):
        for shown, text in zip(line.split("\t"), row, strict=True):
            assert shown == text or not text.isprintable()


def test_numbers_stand_at_the_right_and_control_characters_are_spelled_out() -> None:
    table = Table([Column("lr", is_right=True), Column("a\x1b[31m")])
    table.add_row("0.1", "b\tc\nd")
    table.add_row("10", "")
    assert fitted(table, 80, coloured=False)[0] == [" lr  a\\x1b[31m", "0.1  b c\\nd", " 10"]


def test_colours_take_no_room() -> None:
    plain, coloured = (fitted(runs(), 60, coloured=on)[0] for on in (False, True))
    assert [click.unstyle(line) for line in coloured] == plain
    assert click.style("failed", fg="red") in coloured[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_terminal_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines_of(runs()) == (tabbed(runs()), [])
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    assert lines_of(runs()) == fitted(runs(), 40)
    monkeypatch.setenv("COLUMNS", "0")
    assert lines_of(runs()) == fitted(runs(), 80)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search("\x1b", "".join(lines_of(runs())[0]))


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1)])
def test_wide_and_combining_letters_are_as_wide_as_they_look(text: str, width: int) -> None:
    assert width_of(text) == width


def test_what_one_column_does_not_need_is_for_the_others_by_weight() -> None:
    table = Table([Column("A", Cut.END), Column("B", Cut.END), Column("C", Cut.END, weight=2)])
    table.add_row("a" * 12, "b" * 50, "c" * 60)
    assert [len(part) for part in fitted(table, 76, coloured=False)[0][1].split()] == [12, 20, 40]
