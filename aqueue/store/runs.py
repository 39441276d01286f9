"""What the store can be asked: the statements that only read."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from aqueue.errors import RunError
from aqueue.model.gpu import Allocation
from aqueue.model.run import ENDED, Attempt, Metric, Run, State, Trigger
from aqueue.model.schedule import Schedule, StoredSchedule
from aqueue.model.server import Leaving, Server
from aqueue.model.task import Priority, Task
from aqueue.policy.limits import Limits, Usage

_COLUMNS: Final = Run.__struct_fields__

ALL: Final = ", ".join(_COLUMNS)
"""The columns that make a run, for statements that return some."""

IS_OVER: Final = f"state IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"
"""What holds for runs that are over."""

RUNS: Final = f"SELECT {ALL} FROM runs"
"""What a statement begins with that gives whole runs."""

SET_SECONDS: Final = 1.0
"""By how much the wall clock has to be set to be noticed."""

_SLICE: Final = 1000

_SERVER: Final = ", ".join(Server.__struct_fields__)
_SCHEDULE: Final = ", ".join(StoredSchedule.__struct_fields__)
_Values = Sequence[Any] | Mapping[str, Any]
_task_decoder = msgspec.json.Decoder(Task)
_schedule_decoder = msgspec.json.Decoder(Schedule)
_cards_decoder = msgspec.json.Decoder(tuple[Allocation, ...])


class Outlook(NamedTuple):
    """What there is to expect.

    Attributes:
        busy: whether any run is queued or running.
        waiting: whether any run could be started but for limits, pauses and the like.
        next_ready: when the first delayed one may start.
        servers: how many there are.
        next_due: when the first schedule is due.
        has_missed: whether there are due times that were missed, and nobody has decided about yet.
        has_schedules: whether there are schedules that are due one day, or paused.
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


class Queries:
    """Answers about what is remembered, as it is at one moment.

    Args:
        connection: inside a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute: Callable[..., sqlite3.Cursor] = connection.execute

    def resolve(self, written: str) -> Run:
        """The run that `written` means: an id, NAME:RUN_ID, or a RUN_ID or else a name that only one run has.

        Raises:
            RunError: there is none, or several.
        """
        if written.isascii() and written.isdigit() and len(written) < 19 and (run := self.get(int(written))):
            return run
        name, colon, run_id = written.rpartition(":")
        if colon:
            found = self._runs(f"{RUNS} WHERE name = ? AND run_id = ?", (name, run_id))
        else:
            found = self._runs(f"{RUNS} WHERE run_id = ? LIMIT 2", (written,))
        if len(found) > 1:
            raise RunError(f"several runs have the run-id {written}", "say which: NAME:RUN_ID")
        found = found or self._runs(f"{RUNS} WHERE name = ? ORDER BY id DESC LIMIT 2", (written,))
        if not found:
            raise RunError(f"there is no run {written}", "`aqueue ls` shows which there are")
        if len(found) > 1:
            raise RunError(
                f"several runs are named {written}", f"say which by its id; the newest is {found[0].id}"
            )
        return found[0]

    def get(self, id_: int) -> Run | None:
        """The run of this id."""
        return self._one(f"{RUNS} WHERE id = ?", (id_,))

    def attempts(self, run: Run) -> list[Attempt]:
        """All attempts of a run, first to last."""
        rows = self._execute(
            "SELECT number, started_at, finished_at, exit_code, signal, reason, cards FROM attempts"
            " WHERE run = ? ORDER BY number",
            (run.id,),
        )
        attempts = [
            Attempt(**dict(zip(Attempt.__struct_fields__, (*facts, _cards(cards)), strict=True)))
            for *facts, cards in rows
        ]
        if run.state is State.RUNNING:
            attempts.append(
                Attempt(
                    number=run.attempt,
                    started_at=run.started_at or 0.0,
                    finished_at=None,
                    exit_code=None,
                    signal=None,
                    reason=None,
                    cards=run.cards,
                )
            )
        return attempts

    def select(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Run]:
        """The runs that fit all that is given, in the order of their ids."""
        where, values = _filter(states, queue, tag, group)
        order = "DESC" if newest_first else "ASC"
        return list(
            self._runs(f"{RUNS}{where} ORDER BY id {order} LIMIT ?", (*values, -1 if limit is None else limit))
        )

    def ids(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
    ) -> list[int]:
        """The ids of the runs that fit all that is given, in their order."""
        where, values = _filter(states, queue, tag, group)
        return [id_ for (id_,) in self._execute(f"SELECT id FROM runs{where} ORDER BY id", values)]

    def in_slices(self, ids: Sequence[int]) -> Iterator[list[Run]]:
        """The runs of these ids, in their order, so many at a time as take little memory."""
        for start in range(0, len(ids), _SLICE):
            wanted = ids[start : start + _SLICE]
            found = self._runs(f"{RUNS} WHERE id IN (SELECT value FROM json_each(?))", (as_json(wanted),))
            by_id = {run.id: run for run in found}
            yield [by_id[id_] for id_ in wanted]

    def each(self, ids: Sequence[int]) -> Iterator[Run]:
        """The same one by one."""
        return chain.from_iterable(self.in_slices(ids))

    def count(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
    ) -> int:
        """How many runs fit all that is given."""
        where, values = _filter(states, queue, tag, group)
        (count,) = self._execute(f"SELECT count(*) FROM runs{where}", values).fetchone()
        return int(count)

    def groups(self) -> list[str]:
        """The groups that have runs, by their names."""
        rows = self._execute(
            "SELECT DISTINCT group_name FROM runs WHERE group_name IS NOT NULL ORDER BY group_name"
        )
        return [name for (name,) in rows]

    def ended(self, ids: Iterable[int]) -> tuple[list[Run], list[int]]:
        """Those of the runs that are over, and the ids of those that are not known any more."""
        written = as_json(ids)
        over = self._runs(
            f"{RUNS} WHERE id IN (SELECT value FROM json_each(?)) AND {IS_OVER} ORDER BY finished_at",
            (written,),
        )
        gone = self._execute("SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM runs)", (written,))
        return over, [id_ for (id_,) in gone]

    def queues(self) -> list[tuple[str, Counter[State]]]:
        """Each queue that has runs which are not over, with how many are in which state."""
        found: dict[str, Counter[State]] = {}
        for state, more in (
            (State.QUEUED, "AND ready_at IS NULL"),
            (State.QUEUED, "AND ready_at IS NOT NULL"),
            (State.RUNNING, ""),
            (State.HELD, ""),
        ):
            for queue, count in self._execute(
                f"SELECT queue, count(*) FROM runs WHERE state = '{state}' {more} GROUP BY queue"
            ):
                found.setdefault(queue, Counter())[state] += count
        return sorted(found.items())

    def servers(self) -> list[Server]:
        """All that entered and did not leave, the dead among them."""
        rows = self._execute(f"SELECT {_SERVER} FROM servers ORDER BY started_at")
        return [_server(row) for row in rows]

    def server(self, id_: str) -> Server | None:
        """What is known of a server."""
        row = self._execute(f"SELECT {_SERVER} FROM servers WHERE id = ?", (id_,)).fetchone()
        return _server(row) if row else None

    def paused(self) -> set[str]:
        """The queues that a person has paused."""
        return {queue for (queue,) in self._execute("SELECT queue FROM pauses")}

    def first(self, queue: str) -> Run | None:
        """The run of a queue that is to be started next, or once it is ready again."""
        return self._one(
            f"{RUNS} WHERE id = (SELECT run FROM heads WHERE queue = ? ORDER BY priority, run LIMIT 1)",
            (queue,),
        ) or self._one(
            f"{RUNS} WHERE queue = ? AND state = 'queued' AND ready_at IS NOT NULL"
            " ORDER BY ready_at, priority, id LIMIT 1",
            (queue,),
        )

    def source(self, run: Run) -> str | None:
        """Which document of which file that was dropped the run comes from; None if it was not dropped."""
        found = self._execute("SELECT source FROM runs WHERE id = ?", (run.id,)).fetchone()
        return None if found is None else found[0]

    def runs_of(self, name: str) -> list[int]:
        """The ids of the runs of a file that was dropped, by the name under which it was claimed."""
        rows = self._execute(
            "SELECT id FROM runs WHERE source > ? AND source < ? ORDER BY id", (f"{name}:", f"{name};")
        )
        return [id_ for (id_,) in rows]

    def schedules(self, file: str | None = None) -> list[StoredSchedule]:
        """The schedules that have not ended: all, or those of one file."""
        if file is None:
            return self._schedules("file IS NOT NULL ORDER BY name", ())
        return self._schedules("file = ? ORDER BY name", (file,))

    def schedule(self, name: str) -> StoredSchedule | None:
        """The schedule of that name, even if it has ended."""
        return next(iter(self._schedules("name = ?", (name,))), None)

    def last_run(self, schedule: str) -> Run | None:
        """The run of a schedule's latest due time, those aside that were over before they began."""
        return self._one(
            f"{RUNS} WHERE name = ? AND scheduled_for IS NOT NULL AND (started_at IS NOT NULL"
            " OR state <> 'aborted') ORDER BY scheduled_for DESC LIMIT 1",
            (schedule,),
        )

    def overlapping(self, schedule: str, trigger: Trigger) -> tuple[int, State] | None:
        """The latest run of a schedule that is queued or running, of those that were made in one way."""
        row = self._execute(
            "SELECT id, state FROM runs INDEXED BY runs_overlapping"
            " WHERE name = ? AND trigger = ? AND scheduled_for IS NOT NULL"
            " AND state IN ('queued', 'running') ORDER BY id DESC LIMIT 1",
            (schedule, trigger),
        ).fetchone()
        return (row[0], State(row[1])) if row else None

    def outlook(self, limits: Limits, now: float) -> Outlook:
        """What there is to expect in the queues that a server serves."""
        served = "1" if limits.serves is None else "queue IN (SELECT value FROM json_each(:queues))"
        running, queued, *others = self._execute(
            f"SELECT EXISTS (SELECT 1 FROM runs WHERE state = 'running' AND {served}),"
            f" EXISTS (SELECT 1 FROM heads WHERE {served})"
            f" OR EXISTS (SELECT 1 FROM runs WHERE state = 'queued' AND ready_at IS NOT NULL AND {served}),"
            " EXISTS (SELECT 1 FROM heads),"
            " (SELECT min(ready_at) FROM runs WHERE state = 'queued' AND ready_at > :now),"
            " (SELECT count(*) FROM servers),"
            " (SELECT min(next_due) FROM schedules WHERE next_due IS NOT NULL),"
            " EXISTS (SELECT 1 FROM schedules WHERE missed_at IS NOT NULL AND paused = 0),"
            " EXISTS (SELECT 1 FROM schedules WHERE next_due IS NOT NULL)"
            " OR EXISTS (SELECT 1 FROM schedules WHERE paused = 1)",
            {"now": now, "queues": as_json(limits.serves or ())},
        ).fetchone()
        return Outlook._make([running or queued, *others, running])

    def clock_jump(self, boot: str, ahead: float) -> float:
        """Return by how many seconds the wall clock was set since a server looked last; 0.0 if it was not.

        Args:
            boot: names this boot of the machine; after another, nothing can be said.
            ahead: seconds by which the wall clock is ahead of the time since that boot.
        """
        known = self._execute("SELECT ahead FROM clock WHERE boot = ?", (boot,)).fetchone()
        jump = 0.0 if known is None or not boot else ahead - known[0]
        # A clock that is only slowed down or sped up drifts by far less.
        return float(jump) if abs(jump) > SET_SECONDS else 0.0

    def in_state(self, state: State) -> list[Run]:
        """The runs that are in a state, in the order of their ids."""
        # Without the plus, SQLite would go through all runs in that order, those that are over among them.
        return self._runs(f"{RUNS} WHERE state = '{state}' ORDER BY +id", ())

    def usage(self, server: str, limits: Limits) -> Usage:
        """What is running, from the point of view of a server."""
        usage = Usage(queues=Counter(), jobs=0, runs=0, paused=self.paused())
        for owner, queue, count in self._execute(
            "SELECT server, queue, count(*) FROM runs WHERE state = 'running' GROUP BY server, queue"
        ):
            usage.queues[queue] += count
            if owner == server:
                usage.runs += count
                usage.jobs += count if queue not in limits.queues else 0
        return usage

    def _schedules(self, condition: str, values: _Values) -> list[StoredSchedule]:
        rows = self._execute(f"SELECT {_SCHEDULE} FROM schedules WHERE {condition}", values).fetchall()
        return [_stored_schedule(row) for row in rows]

    def _one(self, sql: str, values: _Values) -> Run | None:
        return next(iter(self._runs(sql, values)), None)

    def _runs(self, sql: str, values: _Values) -> list[Run]:
        return [_run(row) for row in self._execute(sql, values).fetchall()]


def as_json(values: Iterable[Any]) -> str:
    """A list as one value of a statement, in which json_each takes it apart."""
    return msgspec.json.encode(list(values)).decode()


def metrics_as_text(metrics: Mapping[str, Metric]) -> str | None:
    """Metrics as the store has them; None for none. A training that went wrong has NaN, which msgspec drops."""
    if not metrics:
        return None
    # Imported here and below: few runs have any.
    import json

    return json.dumps(metrics)


def _metrics(text: str) -> dict[str, Metric]:
    import json

    found: dict[str, Metric] = json.loads(text)
    return found


def _cards(text: str | None) -> tuple[Allocation, ...]:
    return _cards_decoder.decode(text) if text else ()


def _server(row: Sequence[Any]) -> Server:
    fields = dict(zip(Server.__struct_fields__, row, strict=True))
    fields["queues"] = tuple(msgspec.json.decode(fields["queues"])) if fields["queues"] else None
    fields["leaving"] = Leaving(fields["leaving"]) if fields["leaving"] else None
    fields["owns"] = msgspec.json.decode(fields["owns"], type=tuple[tuple[int | str, ...], ...])
    return Server(**fields)


def _stored_schedule(row: Sequence[Any]) -> StoredSchedule:
    fields = dict(zip(StoredSchedule.__struct_fields__, row, strict=True))
    fields["schedule"] = _schedule_decoder.decode(fields["schedule"])
    fields["paused"] = bool(fields["paused"])
    return StoredSchedule(**fields)


def _run(row: Sequence[Any]) -> Run:
    fields = dict(zip(_COLUMNS, row, strict=True))
    fields["priority"] = Priority(fields["priority"])
    fields["state"] = State(fields["state"])
    fields["trigger"] = Trigger(fields["trigger"])
    fields["direct"] = bool(fields["direct"])
    fields["task"] = _task_decoder.decode(fields["task"])
    fields["cards"] = _cards(fields["cards"])
    fields["metrics"] = _metrics(fields["metrics"]) if fields["metrics"] else {}
    return Run(**fields)


def _filter(
    states: Collection[State], queue: str | None, tag: str | None, group: str | None
) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if group is not None:
        conditions.append("group_name = ?")
        values.append(group)
    if states:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    if queue is not None:
        conditions.append("queue = ?")
        values.append(queue)
    if tag is not None:
        # A key alone stands for all of its values.
        conditions.append(
            "EXISTS (SELECT 1 FROM json_each(json_extract(task, '$.tags')) WHERE value = ?"
            " OR instr(?, '=') = 0 AND substr(value, 1, length(?) + 1) = ? || '=')"
        )
        values.extend([tag] * 4)
    return (" WHERE " + " AND ".join(conditions) if conditions else ""), values
