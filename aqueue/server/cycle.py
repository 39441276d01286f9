"""One cycle of the dispatcher: one transaction."""

import os
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from aqueue.folder.layout import Folder
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.model.outcome import End
from aqueue.model.run import ENDED
from aqueue.model.server import Server
from aqueue.model.submission import Accepted
from aqueue.server.cycle_input import CycleInput
from aqueue.server.cycle_result import AdoptedRun, CycleResult, Liveness
from aqueue.server.schedules import Scheduler
from aqueue.store.orders import Leave, Order
from aqueue.store.store import Store

CheckLiveness = Callable[[Sequence[Server], float], Liveness]


class Cycle:
    """The transaction that a server repeats.

    Args:
        server: the server's id.
        executor: the name of the executor of claimed and adopted runs.
        scheduler: updates schedules and makes due runs.
        check_liveness: returns which servers are up and which are gone; has no side effects.
    """

    def __init__(
        self, folder: Folder, server: str, executor: str, scheduler: Scheduler, check_liveness: CheckLiveness
    ) -> None:
        self._folder = folder
        self._server = server
        self._executor = executor
        self._scheduler = scheduler
        self._check_liveness = check_liveness

    def do(self, cycle_input: CycleInput, connection: sqlite3.Connection) -> CycleResult:
        """Record the input, and claim the runs that may start now.

        Args:
            connection: inside a transaction.
        """
        store, server, limits, now = Store(connection), self._server, cycle_input.limits, cycle_input.now
        if cycle_input.clock_was_set is not None:
            store.servers.follow_set_clock(*cycle_input.clock_was_set)
        for order in cycle_input.orders:
            _record(store, order, now)
        left_behind = [file for file in cycle_input.files if file.is_left_behind]
        already_accepted = {file.name for file in left_behind if store.runs.of_file(file.name)}
        accepted = {file.name: self._accept(store, file, now) for file in cycle_input.files}
        ended = [
            (outcome, run)
            for outcome in cycle_input.outcomes
            if (run := store.lifecycle.finish(outcome, server)) is not None
        ]
        if cycle_input.handles:
            store.attempts.record_handles(cycle_input.handles)
        liveness = self._check_liveness(store.servers.all(), now) if cycle_input.adopts_runs else None
        if cycle_input.heartbeat_is_due:
            store.servers.beat(server, limits, now)
            store.due_times.follow_clock(now)
        reads_requests = cycle_input.store_may_have_changed or cycle_input.heartbeat_is_due
        # The order matters: each step sees what the ones before it wrote.
        result = CycleResult(
            already_accepted=already_accepted,
            accepted=accepted,
            schedules=self._scheduler.update(store, cycle_input),
            ended=ended,
            liveness=liveness,
            adopted=[] if liveness is None else self._adopt(store, liveness),
            own_attempts=store.servers.running_on(server) if cycle_input.heartbeat_is_due else None,
            claim=(
                None
                if cycle_input.gpu_view is None
                else store.claims.claim(server, limits, now, cycle_input.gpu_view, executor=self._executor)
            ),
            cancellations=store.lifecycle.cancellations(server) if reads_requests else [],
            record=store.servers.get(server) if reads_requests else None,
            outlook=store.prospects.outlook_for(server, limits, now),
            aborted=store.dependencies.aborted,
            unblocked=len(store.dependencies.unblocked),
        )
        if cycle_input.targets and _record_messages(store, cycle_input, result):
            return msgspec.structs.replace(result, has_messages=True)
        return result

    def _adopt(self, store: Store, liveness: Liveness) -> list[AdoptedRun]:
        left = store.servers.adopt(self._server, liveness.fresh, liveness.gone, executor=self._executor)
        return [AdoptedRun(run, store.attempts.handle(run), boot) for run, boot in left]

    def _accept(self, store: Store, file: ClaimedFile, now: float) -> Sequence[Accepted]:
        """Store the runs of a file and return them; nothing if the file was dealt with before."""
        # A command that dequeues or forgets its runs files it away in the same transaction.
        is_there = os.path.lexists(f"{self._folder.incoming}/{file.name}")
        if not is_there and not store.runs.of_file(file.name):
            return ()
        return store.submissions.accept(file.name, file.requests, now)


def _record_messages(store: Store, cycle_input: CycleInput, result: CycleResult) -> bool:
    """Record the messages about what has happened, and return True if there may be messages to send."""
    targets, now = cycle_input.targets, cycle_input.now
    ended = [run for outcome, run in result.ended if outcome.end is not End.NEVER_STARTED]
    added = store.outbox.record(targets, result.claimed, ended, now)
    # A group may also end because somebody has cancelled the rest of it: the next heartbeat is soon enough.
    if cycle_input.heartbeat_is_due or any(run.task.group is not None for run in ended):
        added += store.outbox.record_groups(targets, now)
    # A server that is gone may have left some.
    return added > 0 or (result.liveness is not None and bool(result.liveness.gone))


def _record(store: Store, order: Order, now: float) -> None:
    """Store an order, unless it is already carried out."""
    if isinstance(order, Leave):
        store.servers.ask_to_leave(order.server, order.leaving)
        return
    run = store.runs.get(order.run)
    # An attempt may have begun just before the order was given.
    if run is not None and run.state not in ENDED and run.attempt - order.attempt in (0, 1):
        store.lifecycle.cancel(run, order.reason, now)
