"""Facts, params and metrics of runs as columns, to show, sort, compare and plot."""

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from aqueue.errors import RunError
from aqueue.model.run import Run
from aqueue.model.values import Scalar, Spelled, Value, is_number, plain_text, stands_for
from aqueue.units import counted, listed

FACTS: Final = ("id", "name", "queue", "state", "took")
"""The columns that every run has a value in."""

WHY: Final = "why"
"""The column of what a run waits for, or else the reason of its state."""

_MORE: Final[Mapping[str, Callable[[Run], Value]]] = {
    "when": lambda run: run.changed_at,
    "command": lambda run: command_of(run),
    "reason": lambda run: run.reason,
    "priority": lambda run: run.priority.word,
    "group": lambda run: run.task.group,
    "tags": lambda run: ", ".join(run.task.tags) or None,
    "gpus": lambda run: ", ".join(gpu.label for gpu in run.gpus) or None,
    "attempt": lambda run: run.attempt,
    "exit_code": lambda run: run.exit_code,
    "created_at": lambda run: run.created_at,
    "started_at": lambda run: run.started_at,
    "finished_at": lambda run: run.finished_at,
    "scheduled_for": lambda run: run.scheduled_for,
    "trigger": lambda run: str(run.trigger),
    "working_dir": lambda run: run.task.working_dir,
    "run_id": lambda run: run.run_id,
}

MORE_FACTS: Final = (*_MORE, WHY)
"""The columns that are there only if they are asked for."""

TIMES: Final = frozenset({"when", "created_at", "started_at", "finished_at", "scheduled_for"})
"""The columns of times, in seconds since the epoch."""

_DIGITS = re.compile(r"(\d{1,18})", re.ASCII)
_MAX_NAMED = 30


class Kind(StrEnum):
    """The kinds of columns."""

    FACT = "column"
    PARAM = "param"
    METRIC = "metric"


class Column(msgspec.Struct, frozen=True):
    """One column of values.

    Attributes:
        key: its unique name.
        values: by run id, for the runs that have it; None for null.
    """

    key: str
    kind: Kind
    values: dict[int, Value]

    def of(self, id_: int) -> Scalar:
        """Return its value for a run; None if there is none."""
        return stands_for(self.written(id_))

    def written(self, id_: int) -> Value:
        """Return its value for a run as the user wrote it."""
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


def columns_of(
    runs: Iterable[Run], now: float, more: Collection[str] = (), reasons: Mapping[int, Value] | None = None
) -> Columns:
    """Return the columns of runs by key: facts, then params, then metrics, then more facts.

    If a name is taken, the kind is appended: `lr (metric)`.

    Args:
        runs: in the order of their ids; not kept in memory.
        more: the keys to have columns of, if they are among `MORE_FACTS`.
        reasons: the values of the column `why`, if it is among them.
    """
    asked = {key: fact for key, fact in _MORE.items() if key in more}
    others: dict[str, dict[int, Value]] = {key: {} for key in asked}
    if reasons is not None:
        others[WHY] = {**reasons}
    facts: dict[str, dict[int, Value]] = {key: {} for key in FACTS}
    params: dict[str, dict[int, Value]] = {}
    metrics: dict[str, dict[int, Value]] = {}
    for run in runs:
        for key, fact in zip(FACTS, _facts(run, now), strict=True):
            facts[key][run.id] = fact
        for key, of in asked.items():
            others[key][run.id] = of(run)
        for known, named in ((params, run.task.params), (metrics, run.metrics)):
            for name, value in named.items():
                known.setdefault(name, {})[run.id] = value
    found: dict[str, Column] = {}
    kinds = ((Kind.FACT, facts), (Kind.PARAM, params), (Kind.METRIC, metrics), (Kind.FACT, others))
    for kind, values in kinds:
        for name, by_id in values.items():
            key = name
            while key in found:
                key += f" ({kind})"
            found[key] = Column(key, kind, by_id)
    return found


def more_of(keys: Iterable[str]) -> set[str]:
    """Return the keys among `MORE_FACTS` that are asked for, perhaps with their kind."""
    return {key.removesuffix(f" ({Kind.FACT})") for key in keys} & {*MORE_FACTS}


def command_of(run: Run) -> str:
    """Return the command as a line of a shell."""
    command = run.task.command
    return command.strip() if isinstance(command, str) else shlex.join(command)


def find(columns: Columns, key: str, count: int, more: Sequence[str] = ()) -> Column:
    """Return the column with this key.

    Args:
        count: the number of runs.
        more: the keys of columns that could have been asked for.

    Raises:
        RunError: no run has it.
    """
    if key in columns:
        return columns[key]
    raise RunError(f"none of {counted(count, 'run')} has '{key}'", known(columns, more))


def known(columns: Columns, more: Sequence[str] = ()) -> str:
    """Return the hint that lists the columns, and more of them."""
    parts = []
    for kind in Kind:
        keys = [column.key for column in columns.values() if column.kind is kind]
        keys += [key for key in more if key not in keys] if kind is Kind.FACT else []
        parts.append(f"{kind}s: {listed(keys, _MAX_NAMED)}" if keys else f"no {kind}s")
    return "there are " + "; ".join(parts)


def in_order(ids: Sequence[int], columns: Columns, written: str) -> list[int]:
    """Return the ids of runs sorted by a column, smallest value first.

    Runs without a value come last, after those whose value is NaN.

    Args:
        columns: of these runs.
        written: the key of a column; with a leading `-`, largest value first.

    Raises:
        RunError: there is no such column.
    """
    if not ids:
        return []
    is_down = written.startswith("-") and written not in columns
    column = find(columns, written.removeprefix("-") if is_down else written, len(ids), MORE_FACTS)
    valued: list[int] = []
    odd: list[int] = []
    missing: list[int] = []
    for id_ in ids:
        value = column.of(id_)
        (missing if value is None else odd if value != value else valued).append(id_)
    valued.sort(key=lambda id_: _rank(column.of(id_)), reverse=is_down)
    return valued + odd + missing


def distinct(values: Iterable[Scalar]) -> list[Scalar]:
    """Return the distinct values: numbers sorted, others in order of appearance."""
    once = list(dict.fromkeys(values))
    return sorted(once, key=_rank) if all(map(is_number, once)) else once


Facts = tuple[Scalar, ...]
"""A row of `ls`."""


def facts_of(runs: Sequence[Run], why: Sequence[str | None], now: float) -> list[Facts]:
    """Return the rows of `ls`, one for each run.

    Args:
        why: the wait reason of each run.
    """
    return [(*_facts(run, now), wait or run.reason) for run, wait in zip(runs, why, strict=True)]


def _facts(run: Run, now: float) -> tuple[Scalar, ...]:
    seconds = run.lasted(now)
    return run.id, run.name, run.queue, str(run.state), None if seconds is None else round(seconds, 3)


def _rank(value: Scalar) -> tuple[bool, Any]:
    """Numbers before text, and in text `train-2` before `train-10`."""
    if not isinstance(value, str):
        return False, value
    return True, [int(part) if part.isdecimal() else part for part in _DIGITS.split(value)]
