"""The store: all stored state, in parts by subject."""

import sqlite3
from functools import cached_property
from typing import TYPE_CHECKING

from aqueue.store.attempts import Attempts
from aqueue.store.dependencies import Dependencies
from aqueue.store.gpus import Gpus
from aqueue.store.lifecycle import Lifecycle
from aqueue.store.queues import Queues
from aqueue.store.runs import Runs
from aqueue.store.servers import Servers
from aqueue.store.snapshots import Snapshots
from aqueue.store.submissions import Submissions

if TYPE_CHECKING:
    from aqueue.store.claims import Claims
    from aqueue.store.due_times import DueTimes
    from aqueue.store.edits import Edits
    from aqueue.store.forecasts import Forecasts
    from aqueue.store.outbox import Outbox
    from aqueue.store.places import Places
    from aqueue.store.prospects import Prospects
    from aqueue.store.schedules import Schedules


class Store:
    """All stored state in one transaction; the changes of all parts are committed together.

    Parts that only some commands need are imported on first use: commands must feel instant.

    Args:
        transaction: a connection inside a transaction; for reading, a `database.snapshot` is enough.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._transaction = transaction
        self.runs = Runs(transaction)
        self.attempts = Attempts(transaction)
        self.queues = Queues(transaction)
        self.gpus = Gpus(transaction)
        self.snapshots = Snapshots(transaction)
        self.servers = Servers(transaction, self.runs, self.attempts)
        self.dependencies = Dependencies(transaction, self.runs)
        self.submissions = Submissions(transaction, self.runs, self.dependencies, self.snapshots)
        self.lifecycle = Lifecycle(transaction, self.runs, self.attempts, self.dependencies, self.gpus)

    @cached_property
    def claims(self) -> "Claims":
        """Return the claims of runs by servers."""
        from aqueue.store.claims import Claims

        return Claims(self._transaction, self.attempts, self.queues, self.gpus)

    @cached_property
    def prospects(self) -> "Prospects":
        """Return the prospects of runs to start without a user."""
        from aqueue.store.prospects import Prospects

        return Prospects(self._transaction, self.queues, self.servers, self.gpus)

    @cached_property
    def forecasts(self) -> "Forecasts":
        """Return the facts that starts and ends are foretold from."""
        from aqueue.store.forecasts import Forecasts

        return Forecasts(self._transaction)

    @cached_property
    def outbox(self) -> "Outbox":
        """Return the messages to targets."""
        from aqueue.store.outbox import Outbox

        return Outbox(self._transaction)

    @cached_property
    def due_times(self) -> "DueTimes":
        """Return the due times of schedules."""
        from aqueue.store.due_times import DueTimes

        return DueTimes(self._transaction, self.runs, self.submissions, self.lifecycle)

    @cached_property
    def edits(self) -> "Edits":
        """Return the changes of waiting runs."""
        from aqueue.store.edits import Edits

        return Edits(self._transaction, self.runs, self.dependencies)

    @cached_property
    def places(self) -> "Places":
        """Return the places of waiting runs in line."""
        from aqueue.store.places import Places

        return Places(self._transaction)

    @cached_property
    def schedules(self) -> "Schedules":
        """Return the schedules."""
        from aqueue.store.schedules import Schedules

        return Schedules(self._transaction, self.due_times)
