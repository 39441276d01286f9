"""Checks across the tasks of a file: their names and needs."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Final

from aqueue.errors import FileError
from aqueue.formats import yaml_document
from aqueue.formats.yaml_document import Document
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission

_SHOWN: Final = 6


def names_given_twice(found: Sequence[tuple[Document, Submission]]) -> Iterator[FileError]:
    """Yield an error for each task whose name an earlier task, or a run of a sweep, already has.

    Tasks without a name may share the file's.
    """
    given: dict[str, bool] = {}
    sweeps = {request.task.name: request for _, request in found if request.sweep is not None}
    for document, request in found:
        name, is_given = request.task.name, "name" in document.value
        if name in given and (is_given or given[name]):
            hint = "give each task its own name"
            yield document.error(f"there already is a task {name} in this file", hint, at=("name",))
        base, _, number = name.rpartition("-")
        if base in sweeps and number.isdecimal() and name in sweeps[base].names():
            hint = "give it another name"
            yield document.error(f"a run of {base} in this file has the name {name}, too", hint, at=("name",))
        given[name] = is_given or given.get(name, False)


def unmet_needs(found: Sequence[tuple[Document, Submission]]) -> Iterator[FileError]:
    """Yield an error for each need that no task of the file meets; otherwise one if needs form a cycle."""
    if not any(request.needs for _, request in found):
        return
    by_name: dict[str, list[int]] = {}
    for number, (_, request) in enumerate(found):
        for name in request.names():
            by_name.setdefault(name, []).append(number)
    is_unmet = False
    for document, request in found:
        for index, name in enumerate(request.needs):
            if name not in by_name:
                is_unmet = True
                near = difflib.get_close_matches(name, [other.task.name for _, other in found], 1)
                hint = f"did you mean '{near[0]}'?" if near else "a run that is queued already goes into 'after'"
                at: yaml_document.Path = (
                    ("needs", index) if isinstance(document.value["needs"], list) else ("needs",)
                )
                yield document.error(f"needs: there is no task {name} in this file", hint, at=at)
    if not is_unmet and (error := _circle(found, by_name)):
        yield error


def needs_at_other_times(found: Sequence[tuple[Document, Schedule]]) -> Iterator[FileError]:
    """Yield an error for each schedule that needs another with different due times."""
    if not any(schedule.submission.needs for _, schedule in found):
        return
    by_name = {name: schedule for _, schedule in found for name in schedule.submission.names()}
    for document, schedule in found:
        for name in schedule.submission.needs:
            if name in by_name and by_name[name].times != schedule.times:
                hint = "give both the same schedule, timezone and catchup_window; 'after' means the latest run"
                yield document.error(f"needs: {name} is not due at the same times", hint, at=("needs",))


def _circle(
    found: Sequence[tuple[Document, Submission]], by_name: Mapping[str, Sequence[int]]
) -> FileError | None:
    """Return the error for a cycle of needs; None if there is none."""
    needs = {
        number: [*chain.from_iterable(by_name[name] for name in request.needs)]
        for number, (_, request) in enumerate(found)
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        # The cycle goes from needed to needing. Show it reversed, from the first task in the file.
        numbers: list[int] = error.args[1][:0:-1]
        first = numbers.index(min(numbers))
        numbers = [*numbers[first:], *numbers[:first]]
        circle = [found[number][1].task.name for number in [*numbers, numbers[0]]]
        if len(circle) > _SHOWN:
            circle[_SHOWN - 2 : -1] = ["…"]
        return found[numbers[-1]][0].error(
            f"needs: {' needs '.join(circle)}: none could ever start", "break the circle", at=("needs",)
        )
    return None
