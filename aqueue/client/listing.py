"""Lists of runs in an order, also as JSON, however many there are."""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from aqueue.client import columns, views
from aqueue.client.session import Warn, present, resolve_all
from aqueue.client.wait_reasons import Waits
from aqueue.folder.layout import Folder
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


def slices_as_json(store: Store, folder: Folder, ids: Sequence[int], warn: Warn) -> Iterator[list[dict[str, Any]]]:
    """Return runs as `ls --json` has them, some at a time.

    Args:
        warn: is told of an error in the configuration.
    """
    known = Waits(store, folder, warn)
    for runs in store.runs.in_slices(ids):
        yield [views.run_as_json(run, why, folder) for run, why in zip(runs, known.of(runs), strict=True)]
