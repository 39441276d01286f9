"""The end of a run before it was retried by hand, to take back a retry that has not started."""

import sqlite3
from typing import Final

import msgspec

from aqueue.model.run import State
from aqueue.store.rows import as_json

_OF_THE_END: Final = (
    "state",
    "reason",
    "started_at",
    "finished_at",
    "took",
    "exit_code",
    "signal",
    "failures",
    "losses",
    "gpus",
    "metrics",
    "place",
)
"""The columns that describe the end of a run, which a retry replaces."""

_OF_THE_TASK: Final = ("task", "queue", "priority", "gpu_request", "group_name", "prerequisites")
"""The columns that describe what has run, which an edit replaces."""

_KEPT: Final = (*_OF_THE_END, *_OF_THE_TASK)

_READ: Final = f"SELECT {', '.join(_KEPT)} FROM runs WHERE id = ?"
_RESTORE: Final = (
    f"UPDATE runs SET {', '.join(f'{column} = :{column}' for column in _KEPT)},"
    " ready_at = NULL, before_retry = NULL WHERE id = :id"
)
_FORGET_TAGS: Final = "DELETE FROM run_tags WHERE run = ?"
_ADD_TAGS: Final = (
    "INSERT INTO run_tags (tag, run) SELECT value, runs.id FROM runs, json_each(task, '$.tags') WHERE runs.id = ?"
)
_FORGET_SET: Final = (
    "DELETE FROM prerequisites WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.prerequisites = ?)"
)


def remember(transaction: sqlite3.Connection, run: int) -> None:
    """Record what is about to be replaced by a retry."""
    values = transaction.execute(_READ, (run,)).fetchone()
    transaction.execute("UPDATE runs SET before_retry = ? WHERE id = ?", (as_json(values), run))


def restore(transaction: sqlite3.Connection, run: int) -> State | None:
    """Undo the retry of a run that has not started since, and what was edited since.

    Returns:
        its state before the retry; None if it was not retried, or has started since.
    """
    text, task, set_ = transaction.execute(
        "SELECT before_retry, task, prerequisites FROM runs WHERE id = ?", (run,)
    ).fetchone()
    if text is None:
        return None
    before = dict(zip(_KEPT, msgspec.json.decode(text), strict=True))
    transaction.execute(_RESTORE, before | {"id": run})
    if task != before["task"]:
        set_tags(transaction, run)
    if set_ != before["prerequisites"]:
        forget_set(transaction, set_)
    return State(before["state"])


def set_tags(transaction: sqlite3.Connection, run: int) -> None:
    """Give a run the tags that its stored task says."""
    transaction.execute(_FORGET_TAGS, (run,))
    transaction.execute(_ADD_TAGS, (run,))


def forget_set(transaction: sqlite3.Connection, prerequisites: int | None) -> None:
    """Forget a set of prerequisites that no run has any more."""
    if prerequisites is not None:
        transaction.execute(_FORGET_SET, (prerequisites, prerequisites))
