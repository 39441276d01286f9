"""Lists of runs in an order."""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from aqueue.client import columns
from aqueue.client.columns import WHY, Columns
from aqueue.client.selection import resolve_all
from aqueue.client.session import present
from aqueue.client.wait_reasons import Waits
from aqueue.model.run import State
from aqueue.store.store import Store


class Chosen(TypedDict):
    """The conditions that runs have to fit; None and nothing: all do.

    Attributes:
        since: they were queued, started or ended at this time or later, in seconds since the epoch.
    """

    states: Sequence[State]
    queue: str | None
    tag: str | None
    group: str | None
    since: float | None


def ids_of(
    store: Store, chosen: Chosen, waits: Waits, key: str | None = None, limit: int | None = None
) -> list[int]:
    """Return the ids of the runs that are meant: the newest, oldest first; or in the order of a column.

    Args:
        waits: tells the reasons, if they are the column.
        key: of the column; with a `-` before it, the largest first.
        limit: how many there are at most; None: all.

    Raises:
        RunError: there is no such group, or no such column.
    """
    last = limit or None if key is None else None
    ids = store.runs.ids(**chosen, limit=last, newest_first=True)[::-1]
    if chosen["group"] is not None and not ids:
        resolve_all(store, (), chosen["group"])
    if key is None:
        return ids
    known = columns_for(store, ids, waits, (key, key.removeprefix("-")))
    return columns.in_order(ids, known, key)[:limit]


def columns_for(store: Store, ids: Sequence[int], waits: Waits, keys: Iterable[str] = ()) -> Columns:
    """Return the columns of runs, with those among `keys` that are there only if they are asked for."""
    more, in_order = columns.more_of(keys), sorted(ids)
    reasons = None
    if WHY in more:
        reasons = {
            run.id: why or run.reason
            for runs in store.runs.in_slices(in_order)
            for run, why in zip(runs, waits.of(runs), strict=True)
        }
    return columns.columns_of(store.runs.each(in_order), present(store), more, reasons)
