"""The store: all that is remembered, by what it is about."""

import sqlite3

from aqueue.store.attempts import Attempts
from aqueue.store.claims import Claims
from aqueue.store.dependencies import Dependencies
from aqueue.store.due_times import DueTimes
from aqueue.store.gpus import Gpus
from aqueue.store.lifecycle import Lifecycle
from aqueue.store.prospects import Prospects
from aqueue.store.queues import Queues
from aqueue.store.runs import Runs
from aqueue.store.schedules import Schedules
from aqueue.store.servers import Servers
from aqueue.store.snapshots import Snapshots
from aqueue.store.submissions import Submissions


class Store:
    """All that is remembered, as it is in one transaction; what is done by its parts is done together.

    Args:
        transaction: a connection inside a transaction; for questions, a snapshot is enough (see `database`).
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self.runs = Runs(transaction)
        self.attempts = Attempts(transaction)
        self.queues = Queues(transaction)
        self.gpus = Gpus(transaction)
        self.snapshots = Snapshots(transaction)
        self.servers = Servers(transaction, self.runs)
        self.dependencies = Dependencies(transaction, self.runs)
        self.claims = Claims(transaction, self.attempts, self.queues, self.gpus)
        self.prospects = Prospects(transaction, self.queues, self.servers, self.gpus)
        self.submissions = Submissions(transaction, self.runs, self.dependencies, self.snapshots)
        self.lifecycle = Lifecycle(transaction, self.runs, self.attempts, self.dependencies, self.gpus)
        self.due_times = DueTimes(transaction, self.runs, self.submissions, self.lifecycle)
        self.schedules = Schedules(transaction, self.due_times)
