"""Statements that select runs by state, queue, tag and group without scanning the history."""

from collections.abc import Collection
from typing import Any

from aqueue.model.run import State
from aqueue.store.rows import in_states


def selection(
    states: Collection[State], queue: str | None, tag: str | None, group: str | None
) -> tuple[str, dict[str, Any]]:
    """Return a statement for the ids of the runs that meet all conditions, unordered, and its values."""
    if tag is None and group is None and (states or queue is not None):
        condition = "1" if queue is None else "queue = :queue"
        return in_states("id", states or State, condition), {"queue": queue}
    conditions = ["1"]
    if tag is not None:
        # A key alone matches all of its values; `>` is the character after `=`.
        values_of_key = "" if "=" in tag else " OR tag >= :tag || '=' AND tag < :tag || '>'"
        conditions.append(f"id IN (SELECT run FROM run_tags WHERE tag = :tag{values_of_key})")
    if group is not None:
        conditions.append("group_name = :group")
    if states:
        conditions.append(f"state IN ({', '.join(repr(str(state)) for state in states)})")
    if queue is not None:
        conditions.append("queue = :queue")
    # Without a condition, all runs are requested, so all are scanned.
    return (
        f"SELECT id FROM runs WHERE {' AND '.join(conditions)}",
        {"queue": queue, "tag": tag, "group": group},
    )
