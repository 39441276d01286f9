"""The values that a program gives to a client, checked as those of a command line are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeAlias, TypedDict, TypeVar

from aqueue import units
from aqueue.client.selection import Selection
from aqueue.client.wishes import Wishes
from aqueue.errors import UsageError
from aqueue.model.basics import check_tags, is_name
from aqueue.model.gpu import MAX_GPUS, check_ids
from aqueue.model.run import Run, State, Trigger

P = ParamSpec("P")
T = TypeVar("T")
Checked = TypeVar("Checked")

RunLike: TypeAlias = Run | int | str
"""A run, its id, `NAME:RUN_ID`, or a RUN_ID or name that only one run has."""

_NAME: Final = "1 to 64 letters, digits, '_', '.' or '-'"
_TAGS: Final = "a list of key=value or key"
_IDS: Final = "a list of indices and UUIDs, such as [0, 1]"


class Options(TypedDict):
    """Options of a task as a program writes them; see `Client.add`."""

    name: str | None
    queue: str | None
    group: str | None
    priority: str | None
    tags: str | Iterable[str]
    gpus: int | Sequence[int | str] | None
    gpu_memory: int | str | None
    after: RunLike | Iterable[RunLike]
    after_any: bool
    isolate: bool
    notify: str | Iterable[str]


class UnknownOptionError(UsageError, TypeError):
    """A keyword that a method does not have."""


def with_known_options(method: Callable[P, T]) -> Callable[P, T]:
    """Refuse a keyword that a method does not have, and name the one that was probably meant."""
    known = [*signature(method).parameters]

    @wraps(method)
    def checked_method(*args: P.args, **options: P.kwargs) -> T:
        for option in options.keys() - {*known}:
            from aqueue.near_names import nearest

            near = nearest(option, known)
            hint = f"did you mean {near}?" if near else f"the options are {', '.join(known[2:])}"
            raise UnknownOptionError(f"{method.__name__}: there is no option {option}", hint)
        return method(*args, **options)

    return checked_method


def wishes_of(options: Options) -> Wishes:
    """Check options.

    Raises:
        UsageError: an option is not valid.
    """
    priority, gpus, memory = options["priority"], options["gpus"], options["gpu_memory"]
    if priority not in (None, "high", "low"):
        raise UsageError(f"unknown priority {priority!r}", "use 'high' or 'low'")
    if isinstance(gpus, bool) or (isinstance(gpus, int) and not 0 <= gpus <= MAX_GPUS):
        raise invalid("gpus", gpus, f"a number up to {MAX_GPUS}, or {_IDS}")
    return Wishes(
        name=name_of("name", options["name"]),
        queue=name_of("queue", options["queue"]),
        group=name_of("group", options["group"]),
        priority=priority,
        tags=checked("tags", check_tags, texts_of("tags", options["tags"], _TAGS), _TAGS),
        gpus=gpus if isinstance(gpus, int) else gpus_of(gpus),
        gpu_memory=None if memory is None else checked("gpu_memory", units.parse_size, memory, units.SIZE),
        after=[written(run, "after") for run in runs_in(options["after"], "after")],
        after_any=flag_of("after_any", options["after_any"]),
        isolate=flag_of("isolate", options["isolate"]),
        notify=texts_of("notify", options["notify"], "events and targets, or 'never'"),
    )


def written(run: RunLike, key: str = "runs") -> str:
    """Return a run as it is written on a command line.

    Raises:
        UsageError: it is none.

    >>> written(3), written("train")
    ('3', 'train')
    """
    if isinstance(run, bool) or not isinstance(run, Run | int | str):
        raise invalid(key, run, "a run, its id, or its name")
    return str(run.id) if isinstance(run, Run) else str(run)


def runs_in(runs: RunLike | Iterable[RunLike], key: str = "runs") -> list[RunLike]:
    """Return what is meant where one may stand for a list of one.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(runs, Run | int | str):
        return [runs]
    return checked(key, list, runs, "a run, its id, or its name, or a list of them")


def selection_of(runs: RunLike | Iterable[RunLike], group: str | None) -> Selection:
    """Return the runs that are named, and those of a group.

    Raises:
        UsageError: none are named.
    """
    named, group = [written(run) for run in runs_in(runs)], name_of("group", group)
    if not named and group is None and isinstance(runs, tuple):
        raise UsageError("no runs are named", "name some, or a group: group='train'")
    return Selection(named, group)


def states_in(states: State | str | Iterable[State | str]) -> list[State]:
    """Return states where one may stand for a list of one.

    Raises:
        UsageError: one of them is none.
    """
    expected = f"some of {', '.join(State)}"
    listed = [states] if isinstance(states, str) else checked("states", list, states, expected)
    return [checked("states", State, state, expected) for state in listed]


def trigger_of(trigger: str) -> Trigger:
    """Return the trigger that is recorded for runs.

    Raises:
        UsageError: it is none that may be given.
    """
    given = [str(one) for one in Trigger if one is not Trigger.FILE]
    if trigger not in given:
        raise invalid("trigger", trigger, f"one of {', '.join(given)}")
    return Trigger(trigger)


def directory_of(key: str, directory: str | os.PathLike[str]) -> str:
    """Return the path of a directory that exists.

    Raises:
        UsageError: there is none.
    """
    path = path_of(key, directory)
    if not Path(path).is_dir():
        raise UsageError(f"{key}: there is no directory {path}", "create it, or name another")
    return path


def path_of(key: str, path: str | os.PathLike[str]) -> str:
    """Return a path as text.

    Raises:
        UsageError: it is none.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise invalid(key, path, "a path")
    return text


def name_of(key: str, name: str | None) -> str | None:
    """Return a name, or None for none.

    Raises:
        UsageError: it is not a valid one.
    """
    if name is None or (isinstance(name, str) and is_name(name)):
        return name
    raise UsageError(f"{key}: {name!r} is not a valid name", f"use {_NAME}")


def text_of(key: str, text: str | None) -> str | None:
    """Return a text, or None for none.

    Raises:
        UsageError: it is none.
    """
    if text is None or isinstance(text, str):
        return text
    raise invalid(key, text, "text")


def texts_of(key: str, texts: str | Iterable[str], expected: str) -> list[str]:
    """Return texts where one may stand for a list of one.

    Raises:
        UsageError: one of them is no text.
    """
    listed: list[Any] = [texts] if isinstance(texts, str) else checked(key, list, texts, expected)
    if not all(isinstance(text, str) for text in listed):
        raise invalid(key, texts, expected)
    return listed


def flag_of(key: str, flag: bool) -> bool:
    """Return a truth value.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(flag, bool):
        raise invalid(key, flag, "True or False")
    return flag


def number_of(key: str, number: int | None, least: int) -> int | None:
    """Return a whole number, or None for none.

    Raises:
        UsageError: it is none, or too small or too large.
    """
    if number is None or (isinstance(number, int) and not isinstance(number, bool) and least <= number < 1 << 31):
        return number
    raise invalid(key, number, f"a whole number from {least} upwards")


def seconds_of(name: str, duration: float | str | None) -> float | None:
    """Return a length of time in seconds, or None for none.

    Raises:
        UsageError: it is not valid.
    """
    expected = "seconds, or a duration such as 1h30m"
    return None if duration is None else checked(name, units.parse, duration, expected)


def moment_of(name: str, moment: datetime | float | str | None) -> float | None:
    """Return a point in time in seconds since the epoch, or None for none.

    Raises:
        UsageError: it is not valid.
    """
    if moment is None or isinstance(moment, int | float):
        return moment
    # Imported here: it is rarely needed.
    from aqueue.client import since

    return checked(name, lambda it: since.moment_of(it, datetime.now()), moment, since.EXPECTED)


def gpus_of(gpus: Sequence[int | str] | None) -> tuple[int | str, ...] | None:
    """Return which GPUs are meant, or None for none.

    Raises:
        UsageError: there are none, or one is neither an index nor a UUID.
    """
    if gpus is None:
        return None
    if isinstance(gpus, int | str):
        raise invalid("gpus", gpus, _IDS)
    return checked("gpus", check_ids, checked("gpus", list, gpus, _IDS), _IDS)


def checked(key: str, check: Callable[[T], Checked], value: T, expected: str) -> Checked:
    """Return what a check makes of a value.

    Raises:
        UsageError: it refuses the value.
    """
    try:
        return check(value)
    except (TypeError, ValueError):
        raise invalid(key, value, expected) from None


def invalid(key: str, value: object, expected: str) -> UsageError:
    """Return the error for a value that is not what its key expects."""
    return UsageError(f"{key}: {value!r} is not valid", f"expected {expected}")
