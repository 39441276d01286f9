"""Files that are accepted: what their requests are, and the runs that they become."""

from collections.abc import Iterable, Sequence

from aqueue.incoming import Claimed
from aqueue.models import Task
from aqueue.requests import Request
from aqueue.store import Store


def tasks_of(file: Claimed) -> list[Task]:
    return [task for request in file.requests for task in request.tasks()]


def accept(store: Store, source: str, tasks: Iterable[Task], now: float) -> list[int]:
    return accept_requests(store, source, [Request(task=task) for task in tasks], now)


def accept_requests(store: Store, source: str, requests: Sequence[Request], now: float) -> list[int]:
    return [id_ for ids in store.accept(source, requests, now) for id_ in ids]
