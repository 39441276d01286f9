"""Runs and their attempts: the records, and which state may follow which."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from aqueue.model.gpu import Allocation
from aqueue.model.task import Priority, Task
from aqueue.model.values import Value, plain_text

Metric = str | int | float | bool

NOT_YET: Final = float("inf")
"""When a run is ready that comes after others which are not over."""


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
    # Out of the queue to how it had ended: a retry that has not begun was taken back.
    State.HELD: ENDED | {State.QUEUED},
    State.QUEUED: ENDED | {State.HELD, State.RUNNING},
    State.RUNNING: ENDED | {State.QUEUED},
    State.SUCCEEDED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.ABORTED: frozenset({State.QUEUED}),
}
"""Which states a run may go to from each state; nothing else ever happens to it."""


class Trigger(StrEnum):
    """The origin of a run. All but `file` are Dagu's trigger types."""

    FILE = "file"
    MANUAL = "manual"
    SCHEDULER = "scheduler"
    WEBHOOK = "webhook"
    SUBDAG = "subdag"
    RETRY = "retry"
    CATCHUP = "catchup"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One request to execute a task, as the store has it.

    Times are seconds since the epoch.

    Attributes:
        attempt: the number of the last attempt, 0 before the first.
        failures: attempts that failed and count against `task.retries`.
        losses: attempts that were lost, and after which it was queued again.
        ready_at: not to be started before; None for at once; `NOT_YET` while it waits for what it comes after, and
            still so if it was aborted because of that.
        server: who runs it; None unless it is running.
        cancel: why it is to be stopped, once somebody asked for that.
        direct: whether it may be started although queues are disabled.
        gpus: that it has, or had in the attempt after which it was over.
        prerequisites: names the runs that it comes after; None if there are none.
        metrics: what its last attempt measured.
        took: seconds that its last attempt took; None while there is none that is over.
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

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it."""
        from html import escape

        facts = {"run": f"{self.id} {self.name}:{self.run_id}", "state": self.state, "reason": self.reason}
        shown = {**facts, "params": _pairs(self.task.params), "metrics": _pairs(self.metrics)}
        rows = (f"<tr><th>{key}</th><td>{escape(str(text))}</td></tr>" for key, text in shown.items() if text)
        return f"<table>{''.join(rows)}</table>"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run's process; `finished_at` is None while it goes on."""

    number: int
    started_at: float
    finished_at: float | None
    exit_code: int | None
    signal: int | None
    reason: str | None
    gpus: tuple[Allocation, ...] = ()


def _pairs(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={plain_text(value)}" for name, value in values.items())
