"""Runs and their attempts: the records, and which state may follow which."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from aqueue.model.basics import MANUAL
from aqueue.model.gpu import Allocation
from aqueue.model.task import Priority, Task
from aqueue.model.values import Scalar, Value, plain_text, stands_for

Metric = str | int | float | bool

NOT_YET: Final = float("inf")
"""The `ready_at` of a run whose prerequisites are not over."""

SKIPPED: Final = "skipped: "
"""The beginning of the reason of a run that only records that a due time was skipped."""


class State(StrEnum):
    """The state of a run. It never says why; `Run.reason` does."""

    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.ABORTED})

TRANSITIONS: Final = {
    # To an ended state: a retry was cancelled before it started, which restores the previous end.
    State.HELD: ENDED | {State.QUEUED},
    State.QUEUED: ENDED | {State.HELD, State.RUNNING},
    State.RUNNING: ENDED | {State.QUEUED},
    State.SUCCEEDED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.ABORTED: frozenset({State.QUEUED}),
}
"""The states that may follow each state."""


class Trigger(StrEnum):
    """The origin of a run. All but `file` are Dagu's trigger types."""

    FILE = "file"
    MANUAL = MANUAL
    SCHEDULER = "scheduler"
    WEBHOOK = "webhook"
    SUBDAG = "subdag"
    RETRY = "retry"
    CATCHUP = "catchup"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One request to execute a task, as stored.

    Times are seconds since the epoch.

    Attributes:
        attempt: the number of the last attempt, 0 before the first.
        failures: attempts that failed and count against `task.retries`.
        losses: lost attempts after which it was queued again.
        ready_at: the earliest start; None: at once; `NOT_YET` while it waits for prerequisites, also after it was
            aborted because of one.
        server: the id of the server that runs it; None unless it is running.
        cancel: why it is to be stopped; None if no one has asked for that.
        direct: whether it may start although queues are disabled.
        gpus: the GPUs of its current attempt, or of the last if the run is over.
        prerequisites: the id of its set of prerequisites; None if there is none.
        metrics: the metrics of its last attempt.
        turn: its place in line among those with its priority, the lowest first: its id, unless it was moved.
        took: the duration of its last attempt in seconds; None if none has ended.
    """

    id: int
    name: str
    run_id: str
    queue: str
    priority: Priority
    state: State
    reason: str | None
    trigger: Trigger
    task: Task
    created_at: float
    ready_at: float | None
    started_at: float | None
    finished_at: float | None
    scheduled_for: float | None
    attempt: int
    failures: int
    losses: int
    exit_code: int | None
    signal: int | None
    server: str | None
    cancel: str | None
    direct: bool = False
    gpus: tuple[Allocation, ...] = ()
    prerequisites: int | None = None
    metrics: dict[str, Metric] = {}
    took: float | None = None
    turn: float = 0.0

    @property
    def params(self) -> dict[str, Scalar]:
        """Return the params as plain values; `task.params` also has the spelling of each, such as `1e-3`."""
        return {name: stands_for(value) for name, value in self.task.params.items()}

    @property
    def was_skipped(self) -> bool:
        """Return True if it only records that a due time was skipped."""
        is_record = self.state is State.ABORTED and self.started_at is None and self.scheduled_for is not None
        return is_record and (self.reason or "").startswith(SKIPPED)

    @property
    def changed_at(self) -> float:
        """Return when it ended, or else was started, or else was queued."""
        return max(self.created_at, self.started_at or 0.0, self.finished_at or 0.0)

    def lasted(self, now: float) -> float | None:
        """Return the seconds that its last attempt took, or has taken so far; None if it waits for one."""
        if self.started_at is None or self.state in (State.QUEUED, State.HELD):
            return None
        if self.state is not State.RUNNING:
            return self.took
        return max(now - self.started_at, 0.0)

    def __repr__(self) -> str:
        """Return the run in a line, without its task: variables may be secrets."""
        reason = f", reason={self.reason!r}" if self.reason else ""
        return f"Run(id={self.id}, name={self.name!r}, run_id={self.run_id!r}, state={str(self.state)!r}{reason})"

    def _repr_html_(self) -> str:
        """Return the run as HTML for notebooks."""
        from html import escape

        facts = {"run": f"{self.id} {self.name}:{self.run_id}", "state": self.state, "reason": self.reason}
        shown = {**facts, "params": _pairs(self.task.params), "metrics": _pairs(self.metrics)}
        rows = (f"<tr><th>{key}</th><td>{escape(str(text))}</td></tr>" for key, text in shown.items() if text)
        return f"<table>{''.join(rows)}</table>"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The resources that an attempt used, as far as the server that started it saw its end.

    Attributes:
        cpu_seconds: of all its processes that were waited for.
        peak_memory: the bytes of its largest process; None also if the server itself was larger.
        oom_kills: the processes that the kernel killed for lack of memory during the attempt, if it failed.
        oom_kills_in_group: those of them that were in the control group of its server.
        python: the path of the Python that its command names.
    """

    cpu_seconds: float | None = None
    peak_memory: int | None = None
    oom_kills: int | None = None
    oom_kills_in_group: int | None = None
    python: str | None = None


class Attempt(Usage, frozen=True, kw_only=True):
    """One start of a run's process; `finished_at` is None until it ends."""

    number: int
    started_at: float
    finished_at: float | None
    exit_code: int | None
    signal: int | None
    reason: str | None
    gpus: tuple[Allocation, ...] = ()


def _pairs(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={plain_text(value)}" for name, value in values.items())
