"""Moving runs that wait in line: all that are selected, or none."""

from typing import NamedTuple

from aqueue.client.actions import nothing_changed
from aqueue.client.editing import EDITABLE
from aqueue.client.selection import Selection, selected
from aqueue.client.session import changing
from aqueue.errors import RunError, UsageError
from aqueue.folder.layout import Folder
from aqueue.model.run import Run


class Where(NamedTuple):
    """The place to move runs to, of which one is given.

    Attributes:
        first: before all others.
        last: after all others that wait now.
        before, after: right before or after this run.
    """

    first: bool = False
    last: bool = False
    before: str | None = None
    after: str | None = None


def move(folder: Folder, selection: Selection, where: Where) -> list[Run]:
    """Move runs, those that are named one by one in the given order, and return them as they were.

    Raises:
        UsageError: not one place is given.
        RunError: one of the runs does not wait, or the place is not for it.
    """
    if sum(given not in (None, False) for given in where) != 1:
        raise UsageError("one place to move to is needed", "give --first, --last, --before RUN or --after RUN")
    with changing(folder) as store:
        runs = selected(store, folder, selection, EDITABLE)
        if not selection.is_by_name:
            runs.sort(key=lambda run: (run.priority, run.turn, run.id))
        try:
            if where.before is not None:
                store.places.move_before(runs, store.runs.resolve(where.before))
            elif where.after is not None:
                store.places.move_after(runs, store.runs.resolve(where.after))
            elif where.first:
                store.places.move_first(runs)
            else:
                store.places.move_last(runs)
        except RunError as error:
            raise nothing_changed(error, runs) from None
        return runs
