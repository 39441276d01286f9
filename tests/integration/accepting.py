"""Files that are accepted: what their requests are, and the runs that they become."""

from collections.abc import Iterable, Sequence

from aqueue.intake.claimed_files import ClaimedFile
from aqueue.model.submission import Submission, run_ids
from aqueue.model.task import Task
from aqueue.store.store import Store


def tasks_of(file: ClaimedFile) -> list[Task]:
    return [task for request in file.requests for task in request.tasks()]


def accept(store: Store, source: str, tasks: Iterable[Task], now: float) -> list[int]:
    return accept_requests(store, source, [Submission(task=task) for task in tasks], now)


def accept_requests(store: Store, source: str, requests: Sequence[Submission], now: float) -> list[int]:
    return run_ids(store.submissions.accept(source, requests, now))
