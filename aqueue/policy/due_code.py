"""The code that runs of a due time get, and the due times for which it must be kept first. Pure."""

from collections.abc import Iterable

import msgspec

from aqueue.model.schedule import Kept
from aqueue.model.submission import Submission
from aqueue.model.task import Code, Task


class DueCode:
    """The code of what is due.

    Args:
        kept: what is there of it.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.missing: dict[Code, Task] = {}
        """The tasks that are due, and of which no runs are made until their code is kept."""

    def as_of(self, tasks: Iterable[Task], since: float, now: float) -> float | None:
        """Return when the code of tasks was asked for; None if some of it is not there yet, and is missing now.

        Args:
            since: from when on it is to have been.
            now: is returned if they need none.
        """
        as_of: float | None = now
        for task in tasks:
            if task.code is None:
                continue
            kept = self._kept.get(task.code)
            if kept is None or kept.as_of < since:
                self.missing[task.code] = task
                as_of = None
            elif as_of is not None:
                as_of = min(as_of, kept.as_of)
        return as_of

    def given_to(self, submission: Submission) -> tuple[Submission, str]:
        """Return what is submitted with its code; and why that is not there, or an empty text."""
        task = submission.task
        if task.isolate is None or task.code is None:
            return submission, ""
        kept = self._kept.get(task.code)
        if kept is None or kept.snapshot is None:
            return submission, kept.why_not if kept is not None else "isolate: its code was not kept in time"
        isolate = msgspec.structs.replace(task.isolate, snapshot=kept.snapshot)
        return msgspec.structs.replace(submission, task=msgspec.structs.replace(task, isolate=isolate)), ""
