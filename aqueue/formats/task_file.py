"""Task files: YAML text → tasks or schedules, every error with file, line and column."""

import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from aqueue.errors import FileError
from aqueue.formats import (
    dependency_keys,
    empty_values,
    mistakes,
    param_keys,
    run_keys,
    schedule_keys,
    sweep_keys,
    tasks_together,
    yaml_records,
)
from aqueue.formats import names as names_in_tasks
from aqueue.formats.task_keys import HOME, Keys
from aqueue.formats.yaml_document import Document, Path
from aqueue.model.config import Defaults
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from aqueue.model.task import Task


class Content(msgspec.Struct, frozen=True):
    """The contents of a task file: tasks to run once, or schedules; never both.

    Attributes:
        documents: the document of each request or schedule.
    """

    requests: list[Submission] = []
    schedules: list[Schedule] = []
    documents: list[Document] = []

    @property
    def tasks(self) -> list[Task]:
        """Return its tasks, scheduled or not."""
        return [submission.task for submission in self.submissions]

    @property
    def submissions(self) -> list[Submission]:
        """Return its submissions, scheduled or not."""
        return self.requests or [schedule.submission for schedule in self.schedules]


_STAND_INS: Final = {
    "command": "x",
    "name": "x",
    "schedule": "'@hourly'",
    "at": "2030-01-01",
    "matrix": "{x: [0]}",
    "samples": "1",
    "after": "x",
    "needs": "x",
}


def parse(text: str, file: str, defaults: Defaults) -> Content:
    """Parse the text of a task file, which has at least one task.

    Args:
        text: the text of the whole file.
        file: its name in errors.
        defaults: defaults for keys that the tasks omit.

    Raises:
        FileError: it has mistakes; the error lists all that can be found at once.
    """
    found = mistakes.read_all(text, file, functools.partial(_entry, defaults), _stand_in)
    if not found.made and not found.mistakes:
        raise FileError(file, 1, 1, "there is no task in it", "a task needs at least: command: …")
    requests = [(document, request) for document, request, schedule in found.made if schedule is None]
    schedules = [(document, schedule) for document, _, schedule in found.made if schedule is not None]
    if not found.concern("schedule", "at"):
        found.mistakes.extend(_mixed(requests, schedules))
    if not found.concern("name", "matrix", "needs"):
        together = requests or [(document, schedule.submission) for document, schedule in schedules]
        found.mistakes.extend(tasks_together.names_given_twice(together))
        found.mistakes.extend(tasks_together.unmet_needs(together))
        found.mistakes.extend(tasks_together.needs_at_other_times(schedules))
    found.raise_any()
    return Content(
        [request for _, request in requests],
        [schedule for _, schedule in schedules],
        [document for document, *_ in found.made],
    )


def _stand_in(at: Path, keys: Collection[str]) -> str | None:
    """Return a stand-in for a wrong value, if leaving the value out would cause further errors."""
    match at:
        case (str(key),):
            return None if {"schedule", "at"} <= {*keys, key} else _STAND_INS.get(key)
        case ("params" | "env" | "matrix", str(param)) if param not in ("include", "exclude"):
            return "0"
        case ("retries", "limit"):
            return "1"
        case ("isolate", "git"):
            return "true"
    return None


def _mixed(
    requests: Sequence[tuple[Document, Submission]], schedules: Sequence[tuple[Document, Schedule]]
) -> Iterator[FileError]:
    """Yield errors for schedules that share a name, and for other tasks in the same file."""
    if requests and schedules:
        hint = "put it into a file of its own, which is moved away once it is accepted; one with schedules stays"
        yield requests[0][0].error("this task has no schedule, but others in the file have", hint)
    names: set[str] = set()
    for document, schedule in schedules:
        if schedule.name in names:
            hint = "a schedule's name is its own: give each document a name"
            yield document.error(f"there already is a schedule {schedule.name} in this file", hint)
        names.add(schedule.name)


def _entry(defaults: Defaults, document: Document) -> tuple[Document, Submission, Schedule | None]:
    sweep_keys.check_places(document)
    empty_values.check(document)
    param_keys.check(document)
    written = yaml_records.convert(document, Keys, home=HOME)
    task = run_keys.task(document, written, defaults)
    request = dependency_keys.request(document, written, task)
    schedule = schedule_keys.read(document, written, request, defaults.timezone)
    if schedule is not None:
        sweep_keys.check_group(document, schedule)
    names_in_tasks.check(document, request)
    return document, request, schedule
