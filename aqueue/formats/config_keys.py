"""The keys of `aqueue.yaml` → configuration, every error with file, line and column."""

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec

from aqueue import units
from aqueue.errors import FileError
from aqueue.formats import log_keys, mistakes, notify_keys, yaml_records
from aqueue.formats import written_types as types
from aqueue.formats.schedule_keys import is_timezone
from aqueue.formats.task_keys import NAME
from aqueue.formats.variable_keys import check_variables
from aqueue.formats.written_types import Duration
from aqueue.formats.yaml_document import Document, Path
from aqueue.model.basics import is_name
from aqueue.model.config import Config, Queue, Rules
from aqueue.model.gpu import GPUS, GpuId, check_ids
from aqueue.model.task import Retries
from aqueue.model.values import plain_text
from aqueue.units import SIZE, parse_size

_LENGTH = "a length of time such as 10s, 5m or 1h30m"
_FROM_ONE = "a number from 1 upwards"
_SLOTS = f"{_FROM_ONE} (`paused: true` starts no runs)"
_TRUTH = "true or false"


class _Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    interval: Annotated[Duration, _LENGTH, "The time between two signs of life of a server; 0.1s at least."] = "5s"
    stale_after: Annotated[Duration | None, _LENGTH, "The time without one after which others take over."] = None


class _Defaults(msgspec.Struct, forbid_unknown_fields=True):
    env: Annotated[
        types.Environment,
        "keys and plain values, such as {OMP_NUM_THREADS: 4}",
        "Environment variables of all tasks.",
    ] = {}
    timeout: Annotated[Duration | None, _LENGTH, "The longest time for an attempt; 0: no limit."] = None
    retries: Annotated[types.FromZero, "a number from 0 upwards", "How often to try again after a failure."] = 0
    log: Annotated[log_keys.WrittenLog | None, log_keys.LOG, log_keys.USE] = None


class _History(msgspec.Struct, forbid_unknown_fields=True):
    keep: Annotated[Duration, _LENGTH, "How long to keep runs that are over."] = "30d"


class _Gpus(msgspec.Struct, forbid_unknown_fields=True):
    slots: Annotated[types.FromOne, _FROM_ONE, "The most runs on a GPU at a time."] = 1
    share_with_others: Annotated[bool, _TRUTH, "Also use GPUs that others are using."] = False
    ignore_memory: Annotated[types.Size, SIZE, "Memory in use on a GPU that counts as none."] = "500MiB"
    ids: Annotated[Literal["index", "uuid"], "index or uuid", "The ids of GPUs that commands get."] = "index"
    devices: Annotated[types.GpuIds | None, GPUS, "The only GPUs to use; default: all that are found."] = None


class _Queue(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[types.Name, NAME]
    max_concurrency: Annotated[types.FromOne | None, _SLOTS, "The most runs at a time; default: 1."] = None
    # Dagu's deprecated name for it, which wins there where both are given, and so here.
    max_active_runs: Annotated[types.FromOne | None, _SLOTS, "The old name of max_concurrency."] = None
    wait_for_running: Annotated[bool, _TRUTH, "Start a run only while no other, in any queue, is running."] = False
    paused: Annotated[bool, _TRUTH, "Start no runs."] = False
    gpus: Annotated[types.GpuIds | None, GPUS, "The only GPUs for its runs."] = None


class _Queues(msgspec.Struct, forbid_unknown_fields=True):
    enabled: Annotated[bool, _TRUTH, "With false, nothing but schedules is queued or started."] = True
    config: Annotated[
        list[_Queue], "a list such as - {name: batch, max_concurrency: 2}", "Queues with limits of their own."
    ] = []


class Keys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of `aqueue.yaml` as they are written."""

    queues: Annotated[_Queues, "{enabled: true, config: […]}", "The queues."] = msgspec.field(
        default_factory=_Queues
    )
    jobs: Annotated[
        types.FromOne,
        _FROM_ONE,
        "The most runs at a time in all queues that are not configured; `-j` overrides it.",
    ] = 1
    idle_timeout: Annotated[
        types.OptionalDuration, f"never, or {_LENGTH}", "Servers exit after so long without work."
    ] = "never"
    heartbeat: Annotated[_Heartbeat, "{interval: 5s, stale_after: 30s}", "Signs of life of servers."] = (
        msgspec.field(default_factory=_Heartbeat)
    )
    grace: Annotated[Duration, _LENGTH, "The time between SIGTERM and SIGKILL."] = "10s"
    defaults: Annotated[_Defaults, "{env: {}, timeout: 4h, retries: 0}", "For tasks that do not say."] = (
        msgspec.field(default_factory=_Defaults)
    )
    history: Annotated[
        _History, "{keep: 30d}", "How long runs and server logs are kept; a server removes older ones once a day."
    ] = msgspec.field(default_factory=_History)
    gpus: Annotated[_Gpus, "{slots: 1, share_with_others: false}", "How GPUs are used."] = msgspec.field(
        default_factory=_Gpus
    )
    timezone: Annotated[
        str, "local, or a timezone such as Europe/Berlin", "The timezone of schedules that name none."
    ] = "local"
    notify: Annotated[
        list[notify_keys.WrittenTarget], notify_keys.TARGETS, "Who is told how runs end; see `aqueue notify test`."
    ] = []


def parse(text: str, file: str) -> Config:
    """Parse the text of a configuration; `file` is its name in errors.

    Raises:
        FileError: it has mistakes; the error lists all that can be found at once.
    """
    found = mistakes.read_all(text, file, lambda document: (document, _config(document)), _stand_in)
    if len(found.made) > 1:
        found.mistakes.append(found.made[1][0].error("a configuration is one document", "remove the second"))
    found.raise_any()
    return found.made[0][1] if found.made else Config()


def _stand_in(at: Path, keys: Collection[str]) -> str | None:  # noqa: ARG001 - given to every stand-in
    """Return a stand-in for a wrong value, if leaving the value out would cause further errors."""
    match at:
        case ("queues", "config", int(index), "name"):
            return f"x{index}"
        case ("notify", int(index), "name"):
            return f"x{index}"
        case ("notify", int(), str(key)):
            return notify_keys.STAND_INS.get(key)
    return None


def _config(document: Document) -> Config:
    if isinstance(document.value, dict) and "paths" in document.value:
        hint = "name the folder with --dir or AQUEUE_DIR; that is what Dagu's queue_dir is here"
        raise document.error("unknown key 'paths'", hint, at=("paths",), key=True)
    written = yaml_records.convert(document, Keys)
    queues, warnings = _queues(document, written.queues.config)
    check_variables(document, ("defaults", "env"), written.defaults.env)
    interval, stale_after = _heartbeat(document, written.heartbeat)
    if written.timezone != "local" and not is_timezone(written.timezone):
        raise _wrong(document, ("timezone",), written.timezone)
    idle_timeout = None if written.idle_timeout == "never" else written.idle_timeout
    return Config(
        jobs=written.jobs,
        idle_timeout=_seconds(document, ("idle_timeout",), idle_timeout),
        heartbeat_interval=interval,
        stale_after=stale_after,
        grace=_seconds(document, ("grace",), written.grace) or 0.0,
        env={key: plain_text(value) for key, value in written.defaults.env.items()},
        timeout=_seconds(document, ("defaults", "timeout"), written.defaults.timeout) or None,
        retries=Retries(limit=written.defaults.retries),
        log_limit=_log_limit(document, written.defaults.log),
        keep=_seconds(document, ("history", "keep"), written.history.keep) or 0.0,
        queues=queues,
        disabled_by=None if written.queues.enabled else "enabled: false in aqueue.yaml",
        timezone=written.timezone,
        gpus=_rules(document, written.gpus),
        notify=notify_keys.targets(document, written.notify),
        warnings=warnings,
    )


def _heartbeat(document: Document, written: _Heartbeat) -> tuple[float, float]:
    """Return the interval of heartbeats, and the time after which a server is stale, in seconds."""
    interval = _seconds(document, ("heartbeat", "interval"), written.interval) or 0.0
    stale_after = _seconds(document, ("heartbeat", "stale_after"), written.stale_after)
    if interval < 0.1:
        raise document.error("heartbeat.interval: must be at least 0.1s", at=("heartbeat", "interval"))
    if stale_after is None:
        stale_after = max(Config().stale_after, 6 * interval)
    if stale_after <= interval:
        hint = f"otherwise a server counts as stale between two heartbeats, which come every {interval:g}s"
        raise document.error("heartbeat.stale_after: must be longer than the interval", hint, at=("heartbeat",))
    return interval, stale_after


def _queues(document: Document, written: list[_Queue]) -> tuple[dict[str, Queue], tuple[str, ...]]:
    """Return the configured queues by name, and warnings about them."""
    queues: dict[str, Queue] = {}
    old = []
    for index, queue in enumerate(written):
        at = ("queues", "config", index)
        name = plain_text(queue.name)
        if not is_name(name):
            raise _wrong(document, (*at, "name"), name)
        if name in queues:
            raise document.error(f"queue {name} is configured twice", "keep one of them", at=(*at, "name"))
        if queue.max_active_runs is not None:
            old.append(name)
        queues[name] = Queue(
            name=name,
            max_concurrency=queue.max_active_runs or queue.max_concurrency or 1,
            wait_for_running=queue.wait_for_running,
            paused=queue.paused,
            gpus=_gpus(document, (*at, "gpus"), queue.gpus),
        )
    which = f"queue {', '.join(old)}"
    warning = f"max_active_runs is the old name of max_concurrency, and wins over it ({which}): rename it"
    return queues, (warning,) if old else ()


def _rules(document: Document, written: _Gpus) -> Rules:
    try:
        ignore_memory = parse_size(written.ignore_memory)
    except ValueError:
        raise _wrong(document, ("gpus", "ignore_memory"), written.ignore_memory) from None
    return Rules(
        slots=written.slots,
        share_with_others=written.share_with_others,
        ignore_memory=ignore_memory,
        by_uuid=written.ids == "uuid",
        devices=_gpus(document, ("gpus", "devices"), written.devices),
    )


def _log_limit(document: Document, written: log_keys.WrittenLog | None) -> int | None:
    try:
        return None if written is None else log_keys.parse(written)
    except ValueError:
        raise _wrong(document, ("defaults", "log", "limit"), written and written.limit) from None


def _gpus(document: Document, at: Path, written: list[int | str] | None) -> tuple[GpuId, ...] | None:
    try:
        return None if written is None else check_ids(written)
    except ValueError:
        raise _wrong(document, at, written) from None


def _seconds(document: Document, at: Path, length: Duration | None) -> float | None:
    try:
        return None if length is None else units.parse(length)
    except ValueError:
        raise _wrong(document, at, length) from None


def _wrong(document: Document, at: Path, value: object) -> FileError:
    return yaml_records.unexpected(document, Keys, at, value)
