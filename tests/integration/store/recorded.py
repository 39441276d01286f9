"""A connection that records the statements of the store, and SQLite's plans for them."""

import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

from aqueue.store.selection import selection

GROWING = {"runs", "attempts", "run_tags", "prerequisites", "prerequisite_runs", "p", "m"}
"""The tables that grow with history, and their aliases."""

SMALL = {"runs_in_line", "runs_delayed", "runs_direct", "runs_running", "runs_held", "runs_overlapping"}
"""The indexes that have only runs which are not over."""

SELECTS_ALL = selection((), None, None, None, None)[0]
"""Scans all runs, as a comment beside it says."""


class Recorder(sqlite3.Connection):
    """A connection that records each statement that aqueue executes, with its last values."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.statements: dict[str, Any] = {}

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        caller = sys._getframe(1).f_globals["__name__"]
        if caller.startswith("aqueue."):
            self.statements[sql] = parameters
        return super().execute(sql, parameters)

    def plans(self) -> Iterator[tuple[str, str]]:
        """Each statement with each step of its plan."""
        for sql, parameters in self.statements.items():
            if sql.startswith(("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")):
                for row in super().execute(f"EXPLAIN QUERY PLAN {sql}", parameters):
                    yield sql, row[3]

    def scans(self) -> list[tuple[str, str]]:
        """The statements that go through all of a table that grows with history."""
        return [(sql, step) for sql, step in self.plans() if _is_scan(sql, step) and SELECTS_ALL not in sql]


def _is_scan(sql: str, step: str) -> bool:
    verb, table, *rest = (*step.split(), "")
    if "runs_ended" in rest:
        # As long as history, too, unless it is meant.
        return "INDEXED BY runs_ended" not in sql
    return verb == "SCAN" and table in GROWING and not SMALL.intersection(rest)
