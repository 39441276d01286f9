"""Lists of runs in an order."""

from collections.abc import Sequence
from typing import TypedDict

from aqueue.client import columns
from aqueue.client.session import present, resolve_all
from aqueue.model.run import State
from aqueue.store.store import Store


class Chosen(TypedDict):
    """The conditions that runs have to fit; None and nothing: all do."""

    states: Sequence[State]
    queue: str | None
    tag: str | None
    group: str | None


def ids_of(store: Store, chosen: Chosen, key: str | None = None, limit: int | None = None) -> list[int]:
    """Return the ids of the runs that are meant: the newest, oldest first; or in the order of a column.

    Args:
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
    return columns.in_order(ids, columns.columns_of(store.runs.each(ids), present(store)), key)[:limit]
