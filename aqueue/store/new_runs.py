"""New runs: the statements that remember one. Nothing that takes long to import: `aqueue add` needs them, too."""

import os
import sqlite3
from collections.abc import Iterable

from aqueue.errors import RunError

# As in `typing`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_GIVEN: "Final" = (
    "name",
    "run_id",
    "queue",
    "priority",
    "state",
    "trigger",
    "task",
    "source",
    "created_at",
    "scheduled_for",
    "schedule",
    "direct",
    "gpu_request",
    "group_name",
    "code",
    "prerequisites",
    "ready_at",
)
"""The columns of a new run; all others begin empty."""

_ADD: "Final" = (
    f"INSERT INTO runs ({', '.join(_GIVEN)}) VALUES ({', '.join('?' * len(_GIVEN))})"
    " ON CONFLICT (source) DO NOTHING RETURNING id"
)

_ADD_TAG: "Final" = "INSERT OR IGNORE INTO run_tags (tag, run) VALUES (?, ?)"


def add_run(
    transaction: sqlite3.Connection,
    *,
    name: str,
    queue: str | None,
    priority: int,
    task: str,
    created_at: float,
    trigger: str,
    run_id: str | None = None,
    is_held: bool = False,
    source: str | None = None,
    scheduled_for: float | None = None,
    schedule: str | None = None,
    direct: bool = False,
    gpu_request: str = "",
    group: str | None = None,
    code: str | None = None,
    prerequisites: int | None = None,
    ready_at: float | None = None,
    tags: Iterable[str] = (),
) -> int | None:
    """Remember a new run.

    Args:
        queue: None for the local queue, which has the run's name.
        task: as JSON.
        run_id: must be unique among the runs of that name; one is made up if None.

    Returns:
        its id; None if there already is a run from this source.

    Raises:
        RunError: there is a run of this name with this run_id.
    """
    values = (
        name,
        run_id or os.urandom(8).hex(),
        queue or name,
        priority,
        "held" if is_held else "queued",
        trigger,
        task,
        source,
        created_at,
        scheduled_for,
        schedule,
        direct,
        gpu_request,
        group,
        code,
        prerequisites,
        ready_at,
    )
    try:
        row = transaction.execute(_ADD, values).fetchone()
    except sqlite3.IntegrityError:
        raise RunError(
            f"there already is a run {name}:{run_id}", "choose another run-id, or leave it out"
        ) from None
    if row is None:
        return None
    for tag in tags:
        transaction.execute(_ADD_TAG, (tag, row[0]))
    return int(row[0])
