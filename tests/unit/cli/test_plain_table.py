"""A table looks the same whether rich lays it out or not."""

import io
import re
import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aqueue.cli.plain_table import Cell, Table, lines_of
from aqueue.cli.tables import STATE_COLOURS, print_by_rich, print_table, state_cell
from aqueue.model.run import State

NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=12)
REASONS = st.text("ab 9;`'(){}<>=,%#!~/", max_size=40).map(str.rstrip)
ROWS = st.lists(st.tuples(NAMES, st.sampled_from(State), REASONS), max_size=5)


def table_of(rows: list[tuple[str, State, str]]) -> Table:
    table = Table(["name", "state", "why…"])
    for name, state, why in rows:
        table.add_row(name, state_cell(state), why)
    return table


def seen(text: str) -> list[list[tuple[str, str]]]:
    """The letters of each line with their style; that of a blank shows nothing."""
    lines, style = [], ""
    for line in text.splitlines():
        letters: list[tuple[str, str]] = []
        for code, letter in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
            if letter:
                letters.append((letter, "" if letter == " " else style))
            else:
                style = "" if code in ("", "0") else style + f"<{code}>"
        lines.append(letters)
    return lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(columns: int, patch: pytest.MonkeyPatch, show: Callable[[], object]) -> str:
    """Return the output for a terminal of so many columns."""
    with patch.context() as context:
        context.setattr(sys, "stdout", terminal := Terminal())
        context.setenv("TERM", "xterm-256color")
        context.setenv("COLUMNS", str(columns))
        show()
    return terminal.getvalue()


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for key in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(key, raising=False)
    return monkeypatch


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_where_nobody_looks_it_is_the_same_text(
    plain_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rows: list[tuple[str, State, str]]
) -> None:
    table = table_of(rows)
    assert lines_of(table) is not None
    print_table(table)
    plain = capsys.readouterr().out
    print_by_rich(table)
    assert plain == capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 40, 24])
@pytest.mark.parametrize("length", [0, 10, 30, 55, 70])
def test_on_a_terminal_it_looks_the_same(plain_environment: pytest.MonkeyPatch, columns: int, length: int) -> None:
    table = table_of([(f"run-{state}", state, ("why " * 20)[:length].rstrip()) for state in STATE_COLOURS])
    ours = on_terminal(columns, plain_environment, lambda: print_table(table))
    assert seen(ours) == seen(on_terminal(columns, plain_environment, lambda: print_by_rich(table)))
    assert "\x1b[" in ours


@pytest.mark.parametrize("text", ["日本", "é", "a[b]", "a\\", ":x: y", "a\nb", "a\tb", "x" * 1001])
def test_what_takes_more_is_laid_out_by_rich(plain_environment: pytest.MonkeyPatch, text: str) -> None:
    table = Table(["why…"])
    table.add_row(Cell(text))
    assert lines_of(table) is None


@pytest.mark.parametrize("key", ["NO_COLOR", "FORCE_COLOR"])
def test_what_is_said_about_colours_is_left_to_rich(plain_environment: pytest.MonkeyPatch, key: str) -> None:
    plain_environment.setenv(key, "1")
    assert lines_of(Table(["a"])) is None
