"""The options of a task given by a program, checked like those of a command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypedDict, TypeVar

from aqueue import units
from aqueue.client.submit import Wishes
from aqueue.errors import UsageError
from aqueue.model.basics import is_name
from aqueue.model.gpu import MAX_GPUS, check_ids
from aqueue.model.run import Run
from aqueue.model.task import check_tags

T = TypeVar("T")
Checked = TypeVar("Checked")

RunLike: TypeAlias = Run | int | str
"""A run, its id, `NAME:RUN_ID`, or a RUN_ID or name that only one run has."""


class Options(TypedDict, total=False):
    """Options of a task.

    Attributes:
        name, queue, group: names; without a queue, the task has its own.
        priority: `high` or `low`.
        tags: additional tags, each `key=value` or `key`.
        gpus: a number of GPUs, or a list of indices and UUIDs; 0 hides all.
        gpu_memory: the free memory needed on each GPU, in bytes or as `20GiB`.
        after: the runs, or groups (`group:NAME`), that must have succeeded before it starts.
        after_any: start it even if those failed.
        isolate: run it in a checkout of the code as it is now.
    """

    name: str | None
    queue: str | None
    group: str | None
    priority: str | None
    tags: Iterable[str]
    gpus: int | Sequence[int | str] | None
    gpu_memory: int | str | None
    after: RunLike | Iterable[RunLike]
    after_any: bool
    isolate: bool


def wishes_of(options: Options) -> Wishes:
    """Check options.

    Raises:
        UsageError: an option is not valid.
    """
    for key, name in (
        ("name", options.get("name")),
        ("queue", options.get("queue")),
        ("group", options.get("group")),
    ):
        if name is not None and not is_name(name):
            raise UsageError(
                f"{key}: {name!r} is not a valid name", "use 1 to 64 letters, digits, '_', '.' or '-'"
            )
    priority, memory = options.get("priority"), options.get("gpu_memory")
    if priority not in (None, "high", "low"):
        raise UsageError(f"priority: {priority!r} is not valid", "use 'high' or 'low'")
    tags = options.get("tags", ())
    return Wishes(
        name=options.get("name"),
        queue=options.get("queue"),
        group=options.get("group"),
        priority=priority,
        tags=_checked("tags", check_tags, [tags] if isinstance(tags, str) else [*tags], "key=value or key"),
        gpus=_gpus(options.get("gpus")),
        gpu_memory=None if memory is None else _checked("gpu_memory", units.parse_size, memory, units.SIZE),
        after=[written(run) for run in runs_in(options.get("after", ()))],
        after_any=options.get("after_any", False),
        isolate=options.get("isolate", False),
    )


def written(run: RunLike) -> str:
    """Return a run as written on a command line.

    >>> written(3), written("train")
    ('3', 'train')
    """
    return str(run.id) if isinstance(run, Run) else str(run)


def runs_in(runs: RunLike | Iterable[RunLike]) -> list[RunLike]:
    """Return a list, also for a single item."""
    return [runs] if isinstance(runs, Run | int | str) else [*runs]


def seconds_of(name: str, duration: float | str | None) -> float | None:
    """Return a length of time in seconds.

    Raises:
        UsageError: it is not valid.
    """
    expected = "seconds, or a duration such as 1h30m"
    return None if duration is None else _checked(name, units.parse, duration, expected)


def _gpus(gpus: int | Sequence[int | str] | None) -> int | tuple[int | str, ...] | None:
    if gpus is None or (isinstance(gpus, int) and 0 <= gpus <= MAX_GPUS):
        return gpus
    expected = f"a number up to {MAX_GPUS}, or a list of indices and UUIDs"
    return _checked("gpus", check_ids, [] if isinstance(gpus, int | str) else [*gpus], expected)


def _checked(name: str, check: Callable[[T], Checked], value: T, expected: str) -> Checked:
    try:
        return check(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name}: {value!r} is not valid", f"expected {expected}") from None
