"""Rows and records: the columns of each table, and the conversions between the two."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from aqueue.errors import UsageError
from aqueue.model.gpu import Allocation
from aqueue.model.run import ENDED, SKIPPED, Attempt, Metric, Run, State
from aqueue.model.schedule import Schedule, StoredSchedule
from aqueue.model.server import Leaving, Server
from aqueue.model.submission import Submission
from aqueue.model.task import Task

RUN: Final = ", ".join(Run.__struct_fields__)
ATTEMPT: Final = ", ".join(Attempt.__struct_fields__)
SERVER: Final = ", ".join(Server.__struct_fields__)
SCHEDULE: Final = ", ".join(StoredSchedule.__struct_fields__)

RUNS: Final = f"SELECT {RUN} FROM runs"
"""The beginning of a statement that selects whole runs."""

ENDED_BY_INDEX: Final = f"state IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"
"""The condition for runs that are over, as in their index."""

IS_OVER: Final = f"+{ENDED_BY_INDEX}"
"""The same for statements that use another index: the plus keeps SQLite from using that of ended runs."""

IN_LINE: Final = "state = 'queued' AND ready_at IS NULL"
"""The condition for runs that may start as soon as it is their turn."""

DELAYED: Final = "state = 'queued' AND ready_at IS NOT NULL"
"""The condition for queued runs that are not in line yet."""

IS_SKIPPED: Final = (
    "(state = 'aborted' AND started_at IS NULL AND scheduled_for IS NOT NULL"
    f" AND ifnull(reason, '') GLOB '{SKIPPED}*')"
)
"""The condition for `Run.was_skipped`; never null."""

WAITING: Final = "state IN ('queued', 'held') AND ready_at = :not_yet"
"""The condition for runs that wait for prerequisites; `not_yet` is `NOT_YET`."""

_IN_STATE: Final[Mapping[State, Sequence[str]]] = {
    State.QUEUED: (f"runs_in_line WHERE {IN_LINE}", f"runs_delayed WHERE {DELAYED}"),
    State.HELD: ("runs_held WHERE state = 'held'",),
    State.RUNNING: ("runs_running WHERE state = 'running'",),
    **{state: (f"runs_ended WHERE {ENDED_BY_INDEX} AND state = '{state}'",) for state in ENDED},
}
"""The conditions of the partial indexes that together cover all runs in a state.

The states are literals: a condition with a placeholder does not imply that of a partial index.
"""

Values = Sequence[Any] | Mapping[str, Any]

_task_encoder = msgspec.json.Encoder()
_task_decoder = msgspec.json.Decoder(Task)
_schedule_decoder = msgspec.json.Decoder(Schedule)
_gpus_decoder = msgspec.json.Decoder(tuple[Allocation, ...])


def fetch_runs(transaction: sqlite3.Connection, sql: str, values: Values = ()) -> list[Run]:
    """Return the runs that a statement with the columns `RUN` selects."""
    return [_run(row) for row in transaction.execute(sql, values).fetchall()]


def fetch_run(transaction: sqlite3.Connection, sql: str, values: Values = ()) -> Run | None:
    """Return the first run that such a statement selects; None if there is none."""
    return next(iter(fetch_runs(transaction, sql, values)), None)


def in_states(columns: str, states: Iterable[State], condition: str = "1") -> str:
    """Return a statement that selects columns of the runs in these states that meet a condition."""
    return " UNION ALL ".join(
        f"SELECT {columns} FROM runs INDEXED BY {which} AND {condition}"
        for state in states
        for which in _IN_STATE[state]
    )


def fetch_schedules(transaction: sqlite3.Connection, condition: str, values: Values = ()) -> list[StoredSchedule]:
    """Return the schedules that meet a condition, which may end with an order."""
    rows = transaction.execute(f"SELECT {SCHEDULE} FROM schedules WHERE {condition}", values).fetchall()
    return [_stored_schedule(row) for row in rows]


def as_json(values: Iterable[Any]) -> str:
    """Return a list as one value, for json_each in a statement."""
    return msgspec.json.encode(list(values)).decode()


def task_as_text(task: Task) -> str:
    """Return a task as it is stored.

    Raises:
        UsageError: it could not be read back: a field is of another type than it should be.
    """
    try:
        text = _task_encoder.encode(task)
        _task_decoder.decode(text)
    except UnicodeError:
        raise UsageError("the task cannot be stored: it has text that is not UTF-8", "write it as UTF-8") from None
    # msgspec raises a TypeError for what it cannot encode, and a ValueError for what it cannot decode.
    except (TypeError, ValueError) as error:
        raise UsageError(f"the task cannot be stored: {error}", "give each field a value of its type") from None
    return text.decode()


def gpus_as_text(gpus: Sequence[Allocation]) -> str | None:
    """Return GPUs as stored; None for none."""
    return msgspec.json.encode(gpus).decode() if gpus else None


def metrics_as_text(metrics: Mapping[str, Metric]) -> str | None:
    """Return metrics as stored; None for none."""
    if not metrics:
        return None
    # A failed training has NaN, which msgspec drops. Imported here and below: few runs have metrics.
    import json

    return json.dumps(metrics)


def server_values(server: Server) -> dict[str, Any]:
    """Return the values of a server's columns."""
    fields = msgspec.structs.asdict(server)
    fields["queues"] = None if server.queues is None else as_json(server.queues)
    fields["owns"] = as_json(server.owns)
    return fields


def server_of(row: Sequence[Any]) -> Server:
    """Return the server of a row with the columns `SERVER`."""
    fields = dict(zip(Server.__struct_fields__, row, strict=True))
    fields["queues"] = tuple(msgspec.json.decode(fields["queues"])) if fields["queues"] else None
    fields["leaving"] = Leaving(fields["leaving"]) if fields["leaving"] else None
    fields["owns"] = msgspec.json.decode(fields["owns"], type=tuple[tuple[int | str, ...], ...])
    return Server(**fields)


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Return the attempt of a row with the columns `ATTEMPT`."""
    fields = dict(zip(Attempt.__struct_fields__, row, strict=True))
    fields["gpus"] = _gpus(fields["gpus"])
    return Attempt(**fields)


def _run(row: Sequence[Any]) -> Run:
    fields = dict(zip(Run.__struct_fields__, row, strict=True))
    fields["direct"] = bool(fields["direct"])
    fields["task"] = _task(fields["task"], fields["name"])
    fields["gpus"] = _gpus(fields["gpus"])
    fields["metrics"] = metrics_of(fields["metrics"])
    # This also converts enumerations, in half the time of their constructors.
    return msgspec.convert(fields, Run)


def _task(text: str, name: str) -> Task:
    """Return the task of a run; one that only fails where it cannot be read, so that the other runs go on."""
    try:
        return _task_decoder.decode(text)
    except msgspec.DecodeError as error:
        return Task(name=name, command="", working_dir="/", fault=f"its task cannot be read: {error}")


def _stored_schedule(row: Sequence[Any]) -> StoredSchedule:
    fields = dict(zip(StoredSchedule.__struct_fields__, row, strict=True))
    try:
        fields["schedule"] = _schedule_decoder.decode(fields["schedule"])
    except msgspec.DecodeError as error:
        # One that is never due, so that the others go on.
        task = Task(name=fields["name"], command="", working_dir="/")
        fields["schedule"] = Schedule(submission=Submission(task=task), timezone="UTC")
        fields |= {"next_due": None, "error": f"it cannot be read back: {error}; save its file again"}
    fields["paused"] = bool(fields["paused"])
    return StoredSchedule(**fields)


def _gpus(text: str | None) -> tuple[Allocation, ...]:
    return _gpus_decoder.decode(text) if text else ()


def metrics_of(text: str | None) -> dict[str, Metric]:
    """Return metrics from their stored form."""
    if not text:
        return {}
    import json

    found: dict[str, Metric] = json.loads(text)
    return found
