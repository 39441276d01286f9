"""Facts, params and metrics of runs as columns: what can be shown, sorted by, compared and drawn."""

import math
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import click
import msgspec

from aqueue.cli import tables
from aqueue.cli.output import say
from aqueue.client import views
from aqueue.errors import RunError
from aqueue.model.run import Run
from aqueue.model.values import Scalar, Spelled, Value, is_number, plain_text, stands_for

FACTS: Final = ("id", "name", "queue", "state", "took")
"""The columns that every run has a value in."""

_SHOWN_FACTS: Final = ("id", "name", "state")
_DIGITS = re.compile(r"(\d{1,18})", re.ASCII)
_GAP = "  "
_PLAIN: Mapping[str, str] = {}
_STATES = {str(state): colour for state, colour in tables.STATE_COLOURS.items()}
_LONGEST_TEXT = 40
_NAMED = 30


class Kind(StrEnum):
    """What a column tells of runs."""

    FACT = "column"
    PARAM = "param"
    METRIC = "metric"


class Column(msgspec.Struct, frozen=True):
    """One thing that is known of runs.

    Attributes:
        key: what it is called by people; no two columns have the same.
        values: by the ids of the runs that have it; None where it is said to be nothing.
    """

    key: str
    kind: Kind
    values: dict[int, Value]

    def of(self, id_: int) -> Scalar:
        """Its value for a run, whatever its spelling; None if there is none."""
        return stands_for(self.written(id_))

    def written(self, id_: int) -> Value:
        """Return its value for a run as it is written."""
        return self.values.get(id_)

    def spellings(self) -> dict[Scalar, str]:
        """Return how values are written that are always written in one way, which is not ours."""
        found: dict[Scalar, set[Value]] = {}
        for value in self.values.values():
            found.setdefault(stands_for(value), set()).add(value)
        return {
            value: plain_text(way)
            for value, ways in found.items()
            for way in ways
            if len(ways) == 1 and isinstance(way, Spelled)
        }


Columns = Mapping[str, Column]


def columns_of(runs: Iterable[Run], now: float) -> Columns:
    """All that is known of runs, by the keys: facts, then params, then metrics, as the runs have them.

    A name that is taken already has its kind behind it: `lr (metric)`.

    Args:
        runs: in the order of their ids; none of them is kept.
    """
    facts: dict[str, dict[int, Value]] = {key: {} for key in FACTS}
    params: dict[str, dict[int, Value]] = {}
    metrics: dict[str, dict[int, Value]] = {}
    for run in runs:
        for key, fact in zip(FACTS, _facts(run, now), strict=True):
            facts[key][run.id] = fact
        for known, named in ((params, run.task.params), (metrics, run.metrics)):
            for name, value in named.items():
                known.setdefault(name, {})[run.id] = value
    found: dict[str, Column] = {}
    for kind, values in ((Kind.FACT, facts), (Kind.PARAM, params), (Kind.METRIC, metrics)):
        for name, by_id in values.items():
            key = name
            while key in found:
                key += f" ({kind})"
            found[key] = Column(key, kind, by_id)
    return found


def find(columns: Columns, key: str, count: int) -> Column:
    """The column that a person calls `key`.

    Args:
        count: how many runs the columns are of.

    Raises:
        RunError: none of the runs has it.
    """
    if key in columns:
        return columns[key]
    raise RunError(f"none of {counted(count)} has '{key}'", known(columns))


def known(columns: Columns) -> str:
    """Which columns there are, as a hint for a person."""
    parts = []
    for kind in Kind:
        keys = [column.key for column in columns.values() if column.kind is kind]
        more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        parts.append(f"{kind}s: {', '.join(keys[:_NAMED])}{more}" if keys else f"no {kind}s")
    return "there are " + "; ".join(parts)


def in_order(ids: Sequence[int], columns: Columns, written: str) -> list[int]:
    """The ids of runs in the order of a column, from the smallest value up.

    Those without a value come last, and right before them those whose value is NaN.

    Args:
        columns: of these runs.
        written: the key of one; with a `-` before it, from the largest value down.

    Raises:
        RunError: there is no such column.
    """
    if not ids:
        return []
    is_down = written.startswith("-") and written not in columns
    column = find(columns, written.removeprefix("-") if is_down else written, len(ids))
    valued: list[int] = []
    odd: list[int] = []
    missing: list[int] = []
    for id_ in ids:
        value = column.of(id_)
        (missing if value is None else odd if value != value else valued).append(id_)
    valued.sort(key=lambda id_: _rank(column.of(id_)), reverse=is_down)
    return valued + odd + missing


def distinct(values: Iterable[Scalar]) -> list[Scalar]:
    """Each of the values once: numbers by their size, others as they come."""
    once = list(dict.fromkeys(values))
    return sorted(once, key=_rank) if all(map(is_number, once)) else once


def counted(count: int) -> str:
    """So many runs, in words."""
    return "1 run" if count == 1 else f"{count} runs"


Facts = tuple[Scalar, ...]
"""A row of what `ls` shows."""


def facts_of(runs: Sequence[Run], why: Sequence[str | None], now: float) -> list[Facts]:
    """Return what `ls` shows, a row for each run.

    Args:
        why: each of the runs waits.
    """
    return [(*_facts(run, now), wait or run.reason) for run, wait in zip(runs, why, strict=True)]


def print_facts(rows: Iterable[Facts]) -> None:
    """Print as CSV what `ls` shows."""
    _print_csv((*FACTS, "why"), rows)


def print_measured(ids: Sequence[int], known: Columns, *, as_csv: bool) -> None:
    """Print a table of params and metrics.

    For people, params that all runs have in common are left out unless there are no others, and so are columns for
    which there is no room.

    Args:
        ids: of the runs, in the order of the rows.
        known: the columns of these runs.
    """
    columns = [column for column in known.values() if column.kind is not Kind.FACT or column.key in _SHOWN_FACTS]
    if as_csv:
        rows = ([column.written(id_) for column in columns] for id_ in ids)
        _print_csv([column.key for column in columns], rows)
    else:
        _print_table(_telling(columns, ids), ids)


def _print_csv(header: Sequence[str], rows: Iterable[Iterable[Value]]) -> None:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([plain_text(value) for value in row] for row in rows)
    click.echo(out.getvalue(), nl=False)


def _print_table(columns: Sequence[Column], ids: Sequence[int]) -> None:
    stacks = [
        Stack(
            column.key.upper() if column.kind is Kind.FACT else column.key,
            [shown(column.written(id_)) for id_ in ids],
            is_right=_is_numeric(column),
            colours=_STATES if column.key == "state" and column.kind is Kind.FACT else _PLAIN,
        )
        for column in columns
    ]
    if left := print_aligned(stacks, at_least=len(_SHOWN_FACTS)):
        say(f"{left} more column{'' if left == 1 else 's'}; --csv and --json show all", err=True)


class Stack(msgspec.Struct, frozen=True):
    """A column as it is printed: short texts, one below the other.

    Attributes:
        is_right: whether they end below each other, as numbers do.
        colours: of texts that have one.
    """

    header: str
    texts: Sequence[str]
    is_right: bool = False
    colours: Mapping[str, str] = _PLAIN


def print_aligned(stacks: Sequence[Stack], at_least: int = 1) -> int:
    """Print columns beside each other, as many as the terminal is wide enough for.

    Of thousands of runs, too: what lays out the other tables takes a millisecond for each row.

    Args:
        at_least: how many columns are printed, however narrow it is.

    Returns:
        how many columns there was no room for.
    """
    # Imported here: it knows the letters of all scripts.
    from rich.cells import cell_len

    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    padded: list[list[str]] = []
    used = 0
    for stack in stacks:
        sizes = [cell_len(text) for text in (shown(stack.header), *stack.texts)]
        width = max(sizes)
        used += width + (len(_GAP) if padded else 0)
        if used > room and len(padded) >= at_least:
            break
        styled = [click.style(shown(stack.header), bold=True), *(_coloured(text, stack) for text in stack.texts)]
        blanks = [" " * (width - size) for size in sizes]
        pairs = zip(blanks, styled, strict=True) if stack.is_right else zip(styled, blanks, strict=True)
        padded.append([first + second for first, second in pairs])
    click.echo("\n".join(_GAP.join(row).rstrip() for row in zip(*padded, strict=True)))
    return len(stacks) - len(padded)


def _coloured(text: str, stack: Stack) -> str:
    return click.style(text, fg=stack.colours[text]) if text in stack.colours else text


def shown(value: Value) -> str:
    """A value as people are shown it: short, in one line, with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "".join(letter if letter.isprintable() else " " for letter in plain_text(value))
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _facts(run: Run, now: float) -> tuple[Scalar, ...]:
    seconds = views.seconds(run, now)
    return run.id, run.name, run.queue, str(run.state), None if seconds is None else round(seconds, 3)


def _rank(value: Scalar) -> tuple[bool, Any]:
    """Numbers before text, and in text `train-2` before `train-10`."""
    if not isinstance(value, str):
        return False, value
    return True, [int(part) if part.isdecimal() else part for part in _DIGITS.split(value)]


def _telling(columns: Sequence[Column], ids: Sequence[int]) -> list[Column]:
    """The columns without the params that all of several runs have in common, unless that would be all params."""
    params = [column for column in columns if column.kind is Kind.PARAM]
    same = {column.key for column in params if len(ids) > 1 and _is_same(column, ids)}
    if len(same) == len(params):
        return list(columns)
    return [column for column in columns if column.key not in same]


def _is_same(column: Column, ids: Sequence[int]) -> bool:
    # As text, because NaN is not itself, and 1 is True.
    return len({repr(column.written(id_)) for id_ in ids}) == 1


def _is_numeric(column: Column) -> bool:
    return column.kind is not Kind.FACT and all(
        value is None or is_number(stands_for(value)) for value in column.values.values()
    )
