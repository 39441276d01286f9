"""Messages about runs and groups. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from aqueue.model.notification import Event, Message
from aqueue.model.run import ENDED, Metric, Run, State

_MAX_DETAILS: Final = 5
_MAX_REASON: Final = 500
_HIGHER = {"acc", "accuracy", "auc", "bleu", "f1", "iou", "map", "precision", "r2", "recall", "reward", "score"}
_LOWER = {"cer", "err", "error", "loss", "mae", "mse", "perplexity", "ppl", "rmse", "wer"}


class Member(NamedTuple):
    """An ended run of a group."""

    name: str
    state: State
    reason: str | None
    started_at: float | None
    metrics: Mapping[str, Metric]


def of_run(run: Run, event: Event, now: float, id_: str) -> Message:
    """Return the message about a run.

    Args:
        id_: the id of the event.
    """
    return Message(
        id=id_,
        event=event,
        at=now,
        name=run.name,
        state=str(run.state),
        run=run.id,
        run_id=run.run_id,
        queue=run.queue,
        reason=None if run.reason is None else run.reason[:_MAX_REASON],
        exit_code=run.exit_code,
        attempts=run.attempt,
        seconds=run.took,
    )


def of_group(name: str, members: Sequence[Member], now: float, id_: str) -> Message:
    """Return the message about a group of ended runs.

    Args:
        name: of the group.
        id_: the id of the event.
    """
    began = [member.started_at for member in members if member.started_at is not None]
    failed = [member for member in members if member.state is State.FAILED]
    return Message(
        id=id_,
        event=Event.GROUP,
        at=now,
        name=name,
        state=str(state_of_group(member.state for member in members)),
        counts={
            str(state): count for state in sorted(ENDED) if (count := sum(one.state is state for one in members))
        },
        best=best_of(member.metrics for member in members if member.state is State.SUCCEEDED),
        seconds=max(now - min(began), 0.0) if began else None,
        details=tuple(f"{one.name}: {one.reason or ''}"[:_MAX_REASON] for one in failed[:_MAX_DETAILS]),
    )


def state_of_group(states: Iterable[State]) -> State:
    """Return the state of a group as a whole: failed if a run failed, succeeded if all did."""
    there = {*states}
    return next((state for state in (State.FAILED, State.ABORTED) if state in there), State.SUCCEEDED)


def best_of(metrics: Iterable[Mapping[str, Metric]]) -> str | None:
    """Return the best value of a metric, such as `acc 0.96`; None if no name says which is better.

    >>> best_of([{"lr": 1, "val_acc": 0.91}, {"val_acc": 0.96}]), best_of([{"steps": 3}])
    ('val_acc 0.96', None)
    """
    values: dict[str, list[float]] = {}
    for one in metrics:
        for name, value in one.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
                values.setdefault(name, []).append(value)
    for words, best in ((_HIGHER, max), (_LOWER, min)):
        for name, found in values.items():
            if re.split(r"[^a-z0-9]+", name.lower())[-1] in words:
                return f"{name} {best(found):.6g}"
    return None
