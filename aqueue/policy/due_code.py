"""The code of due runs, and the tasks whose code must be kept first. Pure."""

from collections.abc import Iterable

import msgspec

from aqueue.model.schedule import Kept
from aqueue.model.submission import Submission
from aqueue.model.task import Code, Task


class DueCode:
    """The code of due runs.

    Args:
        kept: the code that is kept so far.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.missing: dict[Code, Task] = {}
        """The due tasks whose runs wait until their code is kept."""

    def as_of(self, tasks: Iterable[Task], since: float, now: float) -> float | None:
        """Return when the oldest code of these tasks was requested; None, and note it as missing, if some is.

        Args:
            since: the earliest request that is recent enough.
            now: the result if they need no code.
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

    def attach_to(self, submission: Submission) -> tuple[Submission, str]:
        """Return a submission with its code, and why the code is missing, or an empty text."""
        task = submission.task
        if task.isolate is None or task.code is None:
            return submission, ""
        kept = self._kept.get(task.code)
        if kept is None or kept.snapshot is None:
            return submission, kept.why_not if kept is not None else "isolate: its code was not kept in time"
        isolate = msgspec.structs.replace(task.isolate, snapshot=kept.snapshot)
        return msgspec.structs.replace(submission, task=msgspec.structs.replace(task, isolate=isolate)), ""
