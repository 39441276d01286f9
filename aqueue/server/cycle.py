"""One cycle of the dispatcher: its input, its one transaction, and its result."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Final, NamedTuple

import anyio
import msgspec

from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.claim import ClaimResult, GpuView
from aqueue.model.events import Event, RunAborted, RunAccepted, RunEnded, RunStarted
from aqueue.model.outcome import Outcome
from aqueue.model.run import ENDED, Run
from aqueue.model.schedule import Kept
from aqueue.model.server import Server
from aqueue.model.submission import Accepted, run_ids
from aqueue.policy.limits import Limits
from aqueue.server.schedules import Planned, Planner
from aqueue.store.attempts import Handle
from aqueue.store.orders import Leave, Order
from aqueue.store.queues import Outlook
from aqueue.store.store import Store

_FEW: Final = 64
"""The number of new runs one transaction puts into the store in a few milliseconds."""


class RollCall(NamedTuple):
    """The servers of a folder: those that are up, and those that are gone.

    Attributes:
        fresh: the ids of those that give a sign of life.
        gone: the ids of those that never will again; one that is stopped is neither.
        woke_at: when this server last found that it had slept.
        stale_at: when the next of them gives no sign of life any more, if none comes before.
    """

    fresh: Collection[str]
    gone: Collection[str]
    woke_at: float
    stale_at: float


CallRoll = Callable[[Sequence[Server], float], RollCall]


class Delivery:
    """Files that somebody waits to have taken up.

    Args:
        files: with tasks.
        schedule_files: that were read.
    """

    def __init__(self, files: Sequence[ClaimedFile], schedule_files: Sequence[ScheduleFile]) -> None:
        self.files = files
        self.schedule_files = schedule_files
        self.accepted: Mapping[str, Sequence[Accepted]] = {}
        """The result for each file, by its name in `incoming/`."""
        self.refused: Sequence[AqueueError | None] = ()
        """For each schedule file why it is not taken, or None."""
        self.is_taken = False
        """True if this has been done. A server that leaves does not do it: the next one finds the files."""
        self.answered = anyio.Event()

    def answer(self, accepted: Mapping[str, Sequence[Accepted]], refused: Sequence[AqueueError | None]) -> None:
        """Tell that it has been done, and what came of it."""
        self.accepted = accepted
        self.refused = refused
        self.is_taken = True
        self.answered.set()


class Adopted(NamedTuple):
    """A run that another server has left, with what an executor is to know of its attempt.

    Attributes:
        handle: that was kept of it; None if none was.
        boot: the boot that its server was started in; empty if that is not known.
    """

    run: Run
    handle: str | None
    boot: str


class CycleInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a cycle: all that has come together since the last one.

    Attributes:
        files: to accept.
        schedule_files: what they say.
        outcomes: of attempts that are over.
        handles: of attempts that go on, as far as they became known.
        limits: that are in force.
        now: seconds since the epoch.
        clock_was_set: this boot, and by how many seconds the wall clock is ahead of the time since then, if it was
            set; None if it was not.
        sight: what is known of the GPUs; None where nothing is to be started.
        rung: whether somebody else has changed the store, or time has passed.
        beating: whether a sign of life is due.
        making: whether runs are made of what schedules say.
        kept: the code that is there for those.
        adopting: whether to look for servers that are gone.
        orders: that somebody has left where the database could not take them.
    """

    files: Sequence[ClaimedFile]
    schedule_files: Sequence[ScheduleFile]
    outcomes: Sequence[Outcome]
    handles: Sequence[Handle] = ()
    limits: Limits
    now: float
    clock_was_set: tuple[str, float] | None = None
    sight: GpuView | None
    rung: bool
    beating: bool
    making: bool
    kept: Kept = {}
    adopting: bool
    orders: Sequence[Order] = ()

    @property
    def is_small(self) -> bool:
        """Return True if there are only ended attempts and a few plain files, as in most cycles."""
        if self.rung or self.beating or self.making or self.schedule_files or self.clock_was_set:
            return False
        if self.adopting:
            # It asks the system for each of the other servers, and may find many runs to take over.
            return False
        requests = [request for file in self.files for request in file.requests]
        return len(requests) <= _FEW and all(request.sweep is None for request in requests)


class CycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a cycle.

    Attributes:
        known: the names of files that were in the store already.
        accepted: what became of each file, by its name in `incoming/`.
        let_go: how many runs need not wait for others any more.
        roll_call: which servers are there; None if that was not asked.
        adopted: the runs of servers that are gone.
        held: the runs of this server with the numbers of their attempts; None if that was not asked.
        taken: the runs that may start now; None where nothing is to be started.
        cancellations: the runs that somebody wants stopped, and why.
        record: what the store says of this server; None if that was not asked.
    """

    known: Collection[str]
    accepted: Mapping[str, Sequence[Accepted]]
    aborted: list[Run]
    let_go: int
    planned: Planned
    ended: list[tuple[Outcome, Run]]
    roll_call: RollCall | None
    adopted: list[Adopted]
    held: set[tuple[int, int]] | None
    taken: ClaimResult | None
    cancellations: list[tuple[int, str]]
    record: Server | None
    outlook: Outlook

    @property
    def claimed(self) -> list[Run]:
        """Return the runs that may start now."""
        return self.taken.runs if self.taken is not None else []

    @property
    def concerns_others(self) -> bool:
        """Return True if another server may now be able to start something that this one did not, or to leave."""
        if self.outlook.servers < 2:
            return False
        claimed = Counter(run.queue for run in self.claimed)
        if Counter(run.queue for _, run in self.ended) - claimed:
            return True
        freed = Counter(gpu.key for outcome, _ in self.ended for gpu in outcome.run.gpus)
        if freed - Counter(gpu.key for run in self.claimed for gpu in run.gpus):
            return True
        come = len(run_ids(chain.from_iterable(self.accepted.values()))) + self.let_go
        come += len(run_ids(made.accepted for made in self.planned.made))
        come += self.planned.decided.caught_up if self.planned.decided else 0
        return self.outlook.waiting and come + len(self.ended) > len(self.claimed)


class Cycle:
    """Does rounds for one server.

    Args:
        server: the server's id.
        executor: names who runs what is claimed.
        planner: looks after schedules.
        call_roll: tells the servers that give a sign of life from those that are gone; it changes nothing.
    """

    def __init__(self, folder: Folder, server: str, executor: str, planner: Planner, call_roll: CallRoll) -> None:
        self._folder = folder
        self._server = server
        self._executor = executor
        self._planner = planner
        self._call_roll = call_roll

    def do(self, agenda: CycleInput, connection: sqlite3.Connection) -> CycleResult:
        """Record what has come, and claim the runs that may start now.

        Args:
            connection: inside a transaction.
        """
        store, server, limits, now = Store(connection), self._server, agenda.limits, agenda.now
        if agenda.clock_was_set is not None:
            store.servers.follow_set_clock(*agenda.clock_was_set)
        for order in agenda.orders:
            _record(store, order, now)
        left_behind = [file for file in agenda.files if file.is_left_behind]
        known = {file.name for file in left_behind if store.runs.of_file(file.name)}
        accepted = {file.name: self._accept(store, file, now) for file in agenda.files}
        ended = [(outcome, run) for outcome in agenda.outcomes if (run := store.lifecycle.finish(outcome, server))]
        if agenda.handles:
            store.attempts.note(agenda.handles)
        roll_call = self._call_roll(store.servers.all(), now) if agenda.adopting else None
        if agenda.beating:
            store.servers.beat(server, limits, now)
            store.due_times.follow_clock(now)
        asked = agenda.rung or agenda.beating
        return CycleResult(
            known=known,
            accepted=accepted,
            planned=self._planner.plan(
                store, agenda.schedule_files, limits, now, making=agenda.making, kept=agenda.kept
            ),
            ended=ended,
            roll_call=roll_call,
            adopted=[] if roll_call is None else self._adopt(store, roll_call),
            held=store.servers.held_by(server) if agenda.beating else None,
            taken=(
                None
                if agenda.sight is None
                else store.claims.claim(server, limits, now, agenda.sight, executor=self._executor)
            ),
            cancellations=store.lifecycle.cancellations(server) if asked else [],
            record=store.servers.get(server) if asked else None,
            outlook=store.prospects.outlook_for(server, limits, now),
            aborted=store.dependencies.aborted,
            let_go=len(store.dependencies.let_go),
        )

    def _adopt(self, store: Store, roll_call: RollCall) -> list[Adopted]:
        left = store.servers.adopt(self._server, roll_call.fresh, roll_call.gone)
        return [Adopted(run, store.attempts.handle(run, self._executor), boot) for run, boot in left]

    def _accept(self, store: Store, file: ClaimedFile, now: float) -> Sequence[Accepted]:
        """Put the runs of a file into the store, and return what it became; nothing if it has been dealt with."""
        # Whoever takes its runs off the queue or forgets them puts the file away in the same transaction.
        is_there = os.path.lexists(f"{self._folder.incoming}/{file.name}")
        if not is_there and not store.runs.of_file(file.name):
            return ()
        return store.submissions.accept(file.name, file.requests, now)


def _record(store: Store, order: Order, now: float) -> None:
    """Put an order into the store, unless it has been carried out."""
    if isinstance(order, Leave):
        store.servers.send_away(order.server, order.leaving)
        return
    run = store.runs.get(order.run)
    # An attempt may have begun just when the order was given.
    if run is not None and run.state not in ENDED and run.attempt - order.attempt in (0, 1):
        store.lifecycle.cancel(run, order.reason, now)


def accepted(agenda: CycleInput, done: CycleResult) -> Iterator[tuple[ClaimedFile, Accepted]]:
    """Yield what is new in the store: each request with its file."""
    for file in agenda.files:
        if file.name not in done.known:
            yield from ((file, one) for one in done.accepted[file.name])


def news_of_accepted(file: ClaimedFile, one: Accepted) -> RunAccepted:
    """Return what there is to tell of a request that was accepted."""
    task, ids = one.submission.task, one.run_ids
    size = None if one.submission.sweep is None else len(ids)
    return RunAccepted(ids[0], task.name, task.queue or task.name, file.source, task.hold, size)


def news_of_attempts(done: CycleResult) -> Iterator[Event]:
    """Yield what there is to tell of attempts: first those that are over, then those that begin or go on."""
    for _, run in done.ended:
        yield RunEnded(run, run.took or 0.0)
    for run in done.aborted:
        yield RunAborted(run)
    for run in done.claimed:
        yield RunStarted(run)
    for one in done.adopted:
        yield RunStarted(one.run, adopted=True)


def answer(deliveries: Sequence[Delivery], done: CycleResult) -> None:
    """Tell those who wait for it what became of their files."""
    refused = chain(done.planned.refused, repeat(None))
    for delivery in deliveries:
        delivery.answer(done.accepted, list(islice(refused, len(delivery.schedule_files))))
