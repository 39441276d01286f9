"""The selection of runs to work on: those named, ranges of ids, and what else they have in common."""

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from aqueue.client.unknown_names import check_names, unknown_group
from aqueue.errors import RunError, UsageError
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.store.selection import Candidates
from aqueue.store.store import Store

_SPAN: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)

Span = tuple[int, int]
"""The first and the last id of a range."""


class Selection(NamedTuple):
    """The runs to work on.

    Those of `runs` and those of `group`, or all runs; the fields after them narrow these down.

    Attributes:
        runs: runs as written: ids, NAME:RUN_ID, run-ids, names, and ranges of ids such as `21-40`.
        group: the group whose runs are added.
        is_all: whether all runs are meant, where neither runs nor a group are given.
        states: the states of the runs; none: those that the command works on.
        queue: the queue of the runs.
        tag: a tag of the runs: `key=value`, or `key` for any value.
    """

    runs: Sequence[str] = ()
    group: str | None = None
    is_all: bool = False
    states: Sequence[State] = ()
    queue: str | None = None
    tag: str | None = None

    @property
    def narrows(self) -> bool:
        """Return True if not all of the runs that are named are meant."""
        return bool(self.states) or self.queue is not None or self.tag is not None

    @property
    def is_by_name(self) -> bool:
        """Return True if runs are named one by one, and all of them are meant."""
        return bool(self.runs) and self.group is None and not self.narrows and not any(map(span_of, self.runs))


def selected(
    store: Store, folder: Folder, selection: Selection, fitting: Collection[State], *, only_newest: bool = False
) -> list[Run]:
    """Return the selected runs, each once: those named one by one, then the others by id.

    A run that is named is returned in whatever state it is, unless the selection narrows the runs down. Of the
    others, those in a fitting state are returned.

    Args:
        only_newest: of the runs of a group with the same name, select the one queued last.

    Raises:
        RunError, QueueError: a run, a range, the group, the queue or the tag does not exist.
    """
    spans = [span for span in map(span_of, selection.runs) if span]
    named = {run.id: run for run in (store.runs.resolve(text) for text in selection.runs if not span_of(text))}
    if named and not (spans or selection.group is not None or selection.narrows):
        return [*named.values()]
    ids, group = [*named] if selection.narrows else [], selection.group
    if group is not None and only_newest:
        ids, group = [*ids, *store.runs.newest_of_group(group)], None
    has_candidates = bool(selection.runs) or selection.group is not None
    states = [state for state in selection.states or fitting if state in fitting]
    if not states or not (selection.is_all or has_candidates):
        return []
    others = store.runs.select(
        states=states,
        queue=selection.queue,
        tag=selection.tag,
        candidates=Candidates(ids, spans, group) if has_candidates else None,
    )
    if not others:
        check_names(store, folder, group=selection.group, queue=selection.queue, tag=selection.tag)
        for span in spans:
            runs_in_span(store, span)
    kept = {} if selection.narrows else named
    return [*kept.values(), *(run for run in others if run.id not in kept)]


def span_of(written: str) -> Span | None:
    """Return the range of ids that is written; None if it is none.

    Raises:
        UsageError: it runs backwards.

    >>> span_of("21-40"), span_of("train-2")
    ((21, 40), None)
    """
    if (found := _SPAN.fullmatch(written)) is None:
        return None
    first, last = int(found[1]), int(found[2])
    if first > last:
        raise UsageError(f"the range {written} runs backwards", f"write {last}-{first}")
    return first, last


def runs_in_span(store: Store, span: Span) -> list[Run]:
    """Return the runs whose ids are in a range.

    Raises:
        RunError: there are none.
    """
    runs = store.runs.select(candidates=Candidates([], [span]))
    if not runs:
        raise RunError(f"there are no runs {span[0]}-{span[1]}", "`aqueue ls` lists the runs")
    return runs


def resolve_all(store: Store, written: Sequence[str], group: str | None = None) -> list[Run]:
    """Return the runs that are named, alone or by ranges of ids, each once, in the given order.

    Args:
        group: also select all runs of this group.

    Raises:
        RunError: one of them, or the group, does not exist.
    """
    runs: list[Run] = []
    for text in written:
        runs += runs_in_span(store, span) if (span := span_of(text)) else [store.runs.resolve(text)]
    if group is not None:
        members = store.runs.select(group=group)
        if not members:
            raise unknown_group(store, group)
        runs += members
    return list({run.id: run for run in runs}.values())


def newest_of_each(runs: Sequence[Run]) -> list[Run]:
    """Return the newest run of each name; a due time that was skipped counts only where there is no other."""
    return list({run.name: run for run in sorted(runs, key=lambda run: (not run.was_skipped, run.id))}.values())
