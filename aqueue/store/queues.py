"""Queues: their counts, pauses, lines of waiting runs, and the outlook for a server."""

import math
import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from aqueue.model.gpu import text_of
from aqueue.model.run import NOT_YET, Run, State
from aqueue.model.server import Server
from aqueue.policy.limits import Limits, Usage
from aqueue.policy.wait_reasons import Line
from aqueue.store.rows import DELAYED, IN_LINE, IS_OVER, RUNS, as_json, fetch_run

_COUNTS: Final = tuple(
    (state, f"SELECT queue, count(*) FROM runs WHERE {condition} GROUP BY queue")
    for state, condition in (
        (State.QUEUED, IN_LINE),
        (State.QUEUED, DELAYED),
        (State.RUNNING, "state = 'running'"),
        (State.HELD, "state = 'held'"),
    )
)
_RECENT: Final = "SELECT queue FROM runs WHERE id > (SELECT max(id) FROM runs) - 1000"
_FIRST_IN_LINE: Final = (
    f"{RUNS} WHERE id = (SELECT run FROM heads WHERE queue = ? ORDER BY priority, turn, run LIMIT 1)"
)
_FIRST_DELAYED: Final = f"{RUNS} WHERE queue = ? AND {DELAYED} ORDER BY ready_at, priority, turn, id LIMIT 1"
_RUNNING: Final = "SELECT id, queue, server FROM runs WHERE state = 'running' ORDER BY +id"
_USAGE: Final = "SELECT server, queue, count(*) FROM runs WHERE state = 'running' GROUP BY server, queue"
_UNMET: Final = (
    "SELECT id FROM prerequisite_runs AS p JOIN runs ON id = run"
    f" WHERE p.prerequisites = ? AND NOT {IS_OVER} ORDER BY id LIMIT 4"
)
_COUNT_IN_LINE: Final = f"SELECT count(*) FROM runs WHERE {IN_LINE} AND queue = ? AND gpu_request = ?"
_OF_SERVED: Final = (
    "SELECT EXISTS (SELECT 1 FROM runs WHERE state = 'running' AND {served}),"
    " EXISTS (SELECT 1 FROM heads WHERE {served})"
    f" OR EXISTS (SELECT 1 FROM runs WHERE {DELAYED} AND {{served}}),"
)
_OF_ALL: Final = (
    " EXISTS (SELECT 1 FROM heads),"
    " (SELECT min(ready_at) FROM runs WHERE state = 'queued' AND ready_at > :now),"
    " (SELECT count(*) FROM servers),"
    " (SELECT min(next_due) FROM schedules WHERE next_due IS NOT NULL),"
    " EXISTS (SELECT 1 FROM schedules WHERE missed_at IS NOT NULL AND paused = 0),"
    " EXISTS (SELECT 1 FROM schedules WHERE next_due IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM schedules WHERE paused = 1)"
)
_OUTLOOK: Final = _OF_SERVED.format(served="1") + _OF_ALL
_OUTLOOK_OF_SOME: Final = _OF_SERVED.format(served="queue IN (SELECT value FROM json_each(:queues))") + _OF_ALL

Counted = dict[tuple[str, str, int], tuple[tuple[float, int], int]]
"""For each line, by queue, GPU request and priority: the last counted run, and how many are ahead of it."""


class Outlook(NamedTuple):
    """The work that is left or expected.

    Attributes:
        busy: whether any run is queued or running.
        waiting: whether any run waits only for limits, pauses and the like.
        next_ready: when the first delayed run may start.
        servers: the number of servers.
        next_due: when the first schedule is due.
        has_missed: whether there are missed times that are not handled yet.
        has_schedules: whether there are schedules that will be due, or are paused.
        running: whether any run is running.
    """

    busy: bool
    waiting: bool
    next_ready: float | None
    servers: int
    next_due: float | None = None
    has_missed: bool = False
    has_schedules: bool = False
    running: bool = False


class Queues:
    """The queues.

    Args:
        transaction: a connection inside a transaction; a writing one to pause and resume.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._transaction = transaction
        self._execute = transaction.execute

    def counts(self) -> list[tuple[str, Counter[State]]]:
        """Return each queue with unfinished runs, and how many are in each state."""
        found: dict[str, Counter[State]] = {}
        for state, counting in _COUNTS:
            for queue, count in self._execute(counting):
                found.setdefault(queue, Counter())[state] += count
        return sorted(found.items())

    def recent(self) -> set[str]:
        """Return the queues of the latest runs."""
        return {queue for (queue,) in self._execute(_RECENT)}

    def first(self, queue: str) -> Run | None:
        """Return the next run to start in a queue; if none is ready, the first that will be."""
        return fetch_run(self._transaction, _FIRST_IN_LINE, (queue,)) or fetch_run(
            self._transaction, _FIRST_DELAYED, (queue,)
        )

    def paused(self) -> set[str]:
        """Return the queues that a user has paused."""
        return {queue for (queue,) in self._execute("SELECT queue FROM pauses")}

    def pause(self, queue: str) -> None:
        """Pause `queue`: no run of it starts until it is resumed."""
        self._execute("INSERT OR IGNORE INTO pauses (queue) VALUES (?)", (queue,))

    def resume(self, queue: str) -> bool:
        """Resume `queue`.

        Returns:
            True if it was paused.
        """
        return bool(self._execute("DELETE FROM pauses WHERE queue = ?", (queue,)).rowcount)

    def usage(self, server: str, limits: Limits) -> Usage:
        """Return the slots in use, as they count for a server."""
        usage = Usage(queues=Counter(), jobs=0, runs=0, paused=self.paused())
        for owner, queue, count in self._execute(_USAGE):
            usage.queues[queue] += count
            if owner == server:
                usage.runs += count
                usage.jobs += count if queue not in limits.queues else 0
        return usage

    def outlook(self, limits: Limits, now: float) -> Outlook:
        """Return the outlook for the queues that a server serves."""
        statement = _OUTLOOK if limits.serves is None else _OUTLOOK_OF_SOME
        values = {"now": now, "queues": as_json(limits.serves or ())}
        running, queued, *others = self._execute(statement, values).fetchone()
        return Outlook._make([running or queued, *others, running])

    def lines(
        self,
        runs: Iterable[Run],
        servers: Sequence[Server],
        configured: Container[str],
        silent: Sequence[Server] = (),
        counted: Counted | None = None,
    ) -> Iterator[Line]:
        """Yield the position of each of `runs`.

        Args:
            servers: the servers that respond.
            configured: the names of configured queues.
            silent: servers that are up but not responding.
            counted: counts from an earlier call in the same transaction; updated.
        """
        runs = list(runs)
        ahead = self._ahead(runs, {} if counted is None else counted)
        running: dict[str, list[int]] = {}
        jobs: Counter[str] = Counter()
        unmet: dict[int | None, list[int]] = {}
        paused = self.paused()
        for id_, queue, server in self._execute(_RUNNING):
            running.setdefault(queue, []).append(id_)
            jobs[server] += queue not in configured
        for run in runs:
            if run.ready_at == NOT_YET and run.prerequisites not in unmet:
                unmet[run.prerequisites] = self._unmet(run)
            yield Line(
                servers=servers,
                ahead=ahead.get(run.id, 0),
                running=running,
                jobs=jobs,
                is_paused=run.queue in paused,
                silent=silent,
                unmet=unmet.get(run.prerequisites, []),
            )

    def _unmet(self, run: Run) -> list[int]:
        """Return the ids of the first prerequisites of a run that are not over."""
        return [id_ for (id_,) in self._execute(_UNMET, (run.prerequisites,))]

    def _ahead(self, runs: Iterable[Run], counted: Counted) -> dict[int, int]:
        """Return how many runs with the same GPU request are ahead of each run in line.

        Only the runs between one and the next are counted, so that no part of a long queue is read twice.
        """
        ahead: dict[int, int] = {}
        for queue, gpu_request, priority, turn, id_ in sorted(
            (run.queue, text_of(run.task.gpu_request), run.priority, run.turn, run.id)
            for run in runs
            if run.state is State.QUEUED and run.ready_at is None
        ):
            line = queue, gpu_request, priority
            if line not in counted or counted[line][0] > (turn, id_):
                (before,) = self._execute(f"{_COUNT_IN_LINE} AND priority < ?", line).fetchone()
                counted[line] = (-math.inf, 0), before
            last, count = counted[line]
            (between,) = self._execute(
                f"{_COUNT_IN_LINE} AND priority = ? AND (turn, id) >= (?, ?) AND (turn, id) < (?, ?)",
                (*line, *last, turn, id_),
            ).fetchone()
            ahead[id_] = count + between
            counted[line] = (turn, id_), ahead[id_]
        return ahead
