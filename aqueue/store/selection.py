"""Statements that select runs by state, queue, tag, group and time without scanning the history."""

from collections.abc import Collection
from typing import Any, Final

from aqueue.model.run import ENDED, State
from aqueue.store.rows import in_states

_CHANGED: Final = "max(created_at, coalesce(started_at, 0), coalesce(finished_at, 0)) >= :since"


def selection(
    states: Collection[State], queue: str | None, tag: str | None, group: str | None, since: float | None
) -> tuple[str, dict[str, Any]]:
    """Return a statement for the ids of the runs that meet all conditions, unordered, and its values.

    Args:
        since: they were queued, started or ended then or later.
    """
    if tag is None and group is None and (states or queue is not None or since is not None):
        condition = "1" if queue is None else "queue = :queue"
        ended = [state for state in states or State if state in ENDED]
        others = [state for state in states or State if state not in ENDED]
        # The history is searched by its index; what is not over is never much.
        parts = (
            (ended, condition if since is None else f"{condition} AND finished_at >= :since"),
            (others, condition if since is None else f"{condition} AND {_CHANGED}"),
        )
        chosen = " UNION ALL ".join(in_states("id", some, limited) for some, limited in parts if some)
        return chosen, {"queue": queue, "since": since}
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
    if since is not None:
        conditions.append(_CHANGED)
    # Without a condition, all runs are requested, so all are scanned.
    return (
        f"SELECT id FROM runs WHERE {' AND '.join(conditions)}",
        {"queue": queue, "tag": tag, "group": group, "since": since},
    )
