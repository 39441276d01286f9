"""Statements that select runs by state, queue, tag, group, time and id without scanning the history."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from aqueue.model.run import ENDED, State
from aqueue.store.rows import as_json, in_states

_OF_CANDIDATES: Final = (
    "id IN (SELECT value FROM json_each(:ids) UNION ALL SELECT id FROM runs WHERE group_name = :either_group"
    " UNION ALL SELECT runs.id FROM json_each(:spans) AS span CROSS JOIN runs"
    " ON runs.id BETWEEN json_extract(span.value, '$[0]') AND json_extract(span.value, '$[1]'))"
)


class Candidates(NamedTuple):
    """The runs to choose from: those with one of some ids, or in one of some ranges of ids, or in a group."""

    ids: Sequence[int] = ()
    spans: Sequence[tuple[int, int]] = ()
    group: str | None = None


_CHANGED: Final = "max(created_at, coalesce(started_at, 0), coalesce(finished_at, 0)) >= :since"


def selection(
    states: Collection[State],
    queue: str | None,
    tag: str | None,
    group: str | None,
    since: float | None,
    candidates: Candidates | None = None,
) -> tuple[str, dict[str, Any]]:
    """Return a statement for the ids of the runs that meet all conditions, unordered, and its values.

    Args:
        since: they were queued, started or ended then or later.
    """
    has_others = tag is not None or group is not None or candidates is not None
    if not has_others and (states or queue is not None or since is not None):
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
    values = {"queue": queue, "tag": tag, "group": group, "since": since}
    if candidates is not None:
        conditions.append(_OF_CANDIDATES)
        values |= {
            "ids": as_json(candidates.ids),
            "spans": as_json(candidates.spans),
            "either_group": candidates.group,
        }
    if states:
        conditions.append(f"state IN ({', '.join(repr(str(state)) for state in states)})")
    if queue is not None:
        conditions.append("queue = :queue")
    if since is not None:
        conditions.append(_CHANGED)
    # Without a condition, all runs are requested, so all are scanned.
    return f"SELECT id FROM runs WHERE {' AND '.join(conditions)}", values
