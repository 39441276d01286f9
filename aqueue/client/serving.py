"""The options of a server as a program writes them, checked as those of a command line are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aqueue.client.options import flag_of, gpus_of, invalid, name_of, number_of, seconds_of, texts_of
from aqueue.client.serve_command import Serving


def serving_of(
    *,
    jobs: int | None,
    idle_timeout: float | str | None,
    ignore_schedules: bool,
    queues: str | Iterable[str] | None,
    gpus: Sequence[int | str] | None,
    verbose: bool,
) -> Serving:
    """Return the options of a server; see `Client.start`.

    Raises:
        UsageError: one of them is not valid.
    """
    return Serving(
        jobs=number_of("jobs", jobs, 1),
        idle_timeout=_idle_timeout(idle_timeout),
        ignore_schedules=flag_of("ignore_schedules", ignore_schedules),
        queues=None if queues is None else _names(queues),
        gpus=gpus_of(gpus),
        verbose=flag_of("verbose", verbose),
    )


def _idle_timeout(written: float | str | None) -> float | None:
    if written in ("never", math.inf):
        return math.inf
    return seconds_of("idle_timeout", written)


def _names(queues: str | Iterable[str]) -> tuple[str, ...]:
    names = texts_of("queues", queues, "a list of names")
    if not names:
        raise invalid("queues", queues, "at least one name, or None for all queues")
    for name in names:
        name_of("queues", name)
    return tuple(names)
