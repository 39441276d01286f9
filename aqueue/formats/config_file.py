"""The text of `aqueue.yaml` → configuration, every error with file, line and column."""

import os
import stat
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from aqueue import units
from aqueue.errors import FileError, UsageError
from aqueue.folder import linked, trust
from aqueue.folder.layout import Folder
from aqueue.folder.settling import Settling
from aqueue.formats import log_keys
from aqueue.model.config import Config, Queue, Rules
from aqueue.model.gpu import GPUS, GpuId, check_ids
from aqueue.model.task import Retries, is_name
from aqueue.model.values import Scalar, Value, plain_text
from aqueue.units import SIZE, parse_size

if TYPE_CHECKING:
    from aqueue.formats import yaml_document

_Duration = int | float | str

MAX_BYTES: Final = 1 << 20
"""Bytes that a configuration may have, as any other file here."""

ENABLED: Final = "AQUEUE_QUEUE_ENABLED"
"""The variable that says whether queues are enabled, whatever `aqueue.yaml` says."""

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class _Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    interval: _Duration = "5s"
    stale_after: _Duration | None = None


class _Defaults(msgspec.Struct, forbid_unknown_fields=True):
    env: dict[str, Value] = {}
    timeout: _Duration | None = None
    retries: int = 0
    log: log_keys.Written | None = None


class _History(msgspec.Struct, forbid_unknown_fields=True):
    keep: _Duration = "30d"


class _Gpus(msgspec.Struct, forbid_unknown_fields=True):
    slots: int = 1
    share_with_others: bool = False
    ignore_memory: int | str = "500MiB"
    ids: Scalar = "index"
    devices: list[int | str] | None = None


class _Queue(msgspec.Struct, forbid_unknown_fields=True):
    name: Value
    max_concurrency: int | None = None
    # Dagu's deprecated name for it, which wins there where both are given, and so here.
    max_active_runs: int | None = None
    wait_for_running: bool = False
    paused: bool = False
    gpus: list[int | str] | None = None


class _Queues(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = True
    config: list[_Queue] = []


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    queues: _Queues = msgspec.field(default_factory=_Queues)
    jobs: int = 1
    idle_timeout: _Duration = "never"
    heartbeat: _Heartbeat = msgspec.field(default_factory=_Heartbeat)
    grace: _Duration = "10s"
    defaults: _Defaults = msgspec.field(default_factory=_Defaults)
    history: _History = msgspec.field(default_factory=_History)
    gpus: _Gpus = msgspec.field(default_factory=_Gpus)
    timezone: str = "local"


_LENGTH = "a length of time such as 10s, 5m or 1h30m"
_EXPECTED = {
    "queues.enabled": "true or false",
    "queues.config.name": "1 to 64 letters, digits, '_', '.' or '-'",
    "queues.config.max_concurrency": "a number from 1 upwards",
    "queues.config.max_active_runs": "a number from 1 upwards",
    "queues.config.wait_for_running": "true or false",
    "queues.config.paused": "true or false",
    "queues.config.gpus": GPUS,
    "queues.config": "a list such as - {name: batch, max_concurrency: 2}",
    "queues": "{enabled: true, config: […]}",
    "jobs": "a number from 1 upwards",
    "idle_timeout": f"never, or {_LENGTH}",
    "heartbeat.interval": _LENGTH,
    "heartbeat.stale_after": _LENGTH,
    "heartbeat": "{interval: 5s, stale_after: 30s}",
    "grace": _LENGTH,
    "defaults.env": "keys and plain values, such as {OMP_NUM_THREADS: 4}",
    "defaults.timeout": _LENGTH,
    "defaults.retries": "a number from 0 upwards",
    **{f"defaults.{key}": words for key, words in log_keys.EXPECTED.items()},
    "defaults": "{env: {}, timeout: 4h, retries: 0}",
    "history.keep": _LENGTH,
    "history": "{keep: 30d}",
    "gpus.slots": "a number from 1 upwards",
    "gpus.share_with_others": "true or false",
    "gpus.ignore_memory": SIZE,
    "gpus.ids": "index or uuid",
    "gpus.devices": GPUS,
    "gpus": "{slots: 1, share_with_others: false}",
    "timezone": "local, or a timezone such as Europe/Berlin",
}


def read(folder: Folder, settling: Settling | None = None) -> bytes | None:
    """Return the folder's `aqueue.yaml`; nothing if there is none.

    Args:
        settling: tells whether somebody is just writing it; None is returned then.

    Raises:
        FileError: it cannot be read.
    """
    file = os.path.relpath(folder.config)
    try:
        descriptor = os.open(folder.config, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if folder.config.is_symlink():
            raise FileError(file, 0, 0, *linked.why_no_file(str(folder.config))) from None
        return b""
    except OSError as error:
        raise FileError(file, 0, 0, f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(file, 0, 0, *linked.why_no_file(str(folder.config)))
        if fault := trust.fault_of_configuration(str(folder.config), status):
            raise FileError(file, 0, 0, *fault)
        if settling is not None:
            seen = settling.see(str(folder.config), status)
            if not settling.is_settled(str(folder.config), file, descriptor, seen):
                return None
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def under(environment: Mapping[str, str], config: Config) -> Config:
    """Return the configuration with what the environment says over it.

    Raises:
        UsageError: there is an error in the environment.
    """
    written = environment.get(ENABLED)
    if not written:
        return config
    enabled = _WORDS.get(written.lower())
    if enabled is None:
        raise UsageError(f"{ENABLED}={written}: expected true or false", f"set it to one, or: unset {ENABLED}")
    return msgspec.structs.replace(config, disabled_by=None if enabled else f"{ENABLED}={written}")


def parse(content: bytes, file: str) -> Config:
    """Read a configuration; `file` is what errors call it.

    Raises:
        FileError: there are mistakes in it; all that can be told at once.
    """
    if not content:
        return Config()
    # Imported here: YAML takes a while to import, and most folders have no configuration.
    from aqueue.formats import mistakes, yaml_document

    found = mistakes.read_all(yaml_document.decode(content, file), file, _config_and_document, _stand_in)
    if len(found.made) > 1:
        found.mistakes.append(found.made[1][0].error("a configuration is one document", "remove the second"))
    found.raise_any()
    return found.made[0][1] if found.made else Config()


def _stand_in(at: "yaml_document.Path", keys: Collection[str]) -> str | None:  # noqa: ARG001 - given to every stand-in
    """Return what stands in for a value that is wrong, where without it something else would seem wrong."""
    match at:
        case ("queues", "config", int(index), "name"):
            return f"x{index}"
    return None


def _config_and_document(document: "yaml_document.Document") -> tuple["yaml_document.Document", Config]:
    return document, _config(document)


def _config(document: "yaml_document.Document") -> Config:
    from aqueue.formats.schedule_keys import is_timezone
    from aqueue.formats.task_file import check_variables

    if isinstance(document.value, dict) and "paths" in document.value:
        hint = "name the folder with --dir or AQUEUE_DIR; that is what Dagu's queue_dir is here"
        raise document.error("unknown key 'paths'", hint, at=("paths",), key=True)
    written = document.convert(_Written, _EXPECTED)
    queues, warnings = _queues(document, written.queues.config)
    check_variables(document, ("defaults", "env"), written.defaults.env)
    lengths: Mapping[yaml_document.Path, _Duration | None] = {
        ("heartbeat", "interval"): written.heartbeat.interval,
        ("heartbeat", "stale_after"): written.heartbeat.stale_after,
        ("grace",): written.grace,
        ("defaults", "timeout"): written.defaults.timeout,
        ("history", "keep"): written.history.keep,
        ("idle_timeout",): None if written.idle_timeout == "never" else written.idle_timeout,
    }
    seconds = {at: _seconds(document, at, length) for at, length in lengths.items()}
    for at, number, least in (
        (("jobs",), written.jobs, 1),
        (("defaults", "retries"), written.defaults.retries, 0),
        (("gpus", "slots"), written.gpus.slots, 1),
    ):
        if number < least:
            raise _wrong(document, at, number)
    if written.timezone != "local" and not is_timezone(written.timezone):
        raise _wrong(document, ("timezone",), written.timezone)
    interval = seconds["heartbeat", "interval"] or 0.0
    if interval < 0.1:
        raise document.error("heartbeat.interval: 0.1s is the least", at=("heartbeat", "interval"))
    stale_after = seconds["heartbeat", "stale_after"]
    if stale_after is None:
        stale_after = max(Config().stale_after, 6 * interval)
    if stale_after <= interval:
        hint = f"or a server is taken for dead between two signs of life, which come every {interval:g}s"
        raise document.error("heartbeat.stale_after: must be longer than the interval", hint, at=("heartbeat",))
    return Config(
        jobs=written.jobs,
        idle_timeout=seconds[("idle_timeout",)],
        heartbeat_interval=interval,
        stale_after=stale_after,
        grace=seconds[("grace",)] or 0.0,
        env={key: plain_text(value) for key, value in written.defaults.env.items()},
        timeout=seconds["defaults", "timeout"] or None,
        retries=Retries(limit=written.defaults.retries),
        log_limit=_log_limit(document, written.defaults.log),
        keep=seconds["history", "keep"] or 0.0,
        queues=queues,
        disabled_by=None if written.queues.enabled else "enabled: false in aqueue.yaml",
        timezone=written.timezone,
        gpus=_rules(document, written.gpus),
        warnings=warnings,
    )


def _queues(document: "yaml_document.Document", written: list[_Queue]) -> tuple[dict[str, Queue], tuple[str, ...]]:
    """Return the configured queues by their names, and what should be changed about them."""
    queues: dict[str, Queue] = {}
    old = []
    for index, queue in enumerate(written):
        at = ("queues", "config", index)
        name = plain_text(queue.name)
        if not is_name(name):
            raise _wrong(document, (*at, "name"), name)
        if name in queues:
            raise document.error(f"queue {name} is configured twice", "keep one of them", at=(*at, "name"))
        for key in ("max_concurrency", "max_active_runs"):
            number = getattr(queue, key)
            if number is not None and number < 1:
                raise _wrong(document, (*at, key), number, "to have nothing of it started: paused: true")
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


def _rules(document: "yaml_document.Document", written: _Gpus) -> Rules:
    try:
        ignore_memory = parse_size(written.ignore_memory)
    except ValueError:
        raise _wrong(document, ("gpus", "ignore_memory"), written.ignore_memory) from None
    if written.ids not in ("index", "uuid"):
        raise _wrong(document, ("gpus", "ids"), written.ids)
    return Rules(
        slots=written.slots,
        share_with_others=written.share_with_others,
        ignore_memory=ignore_memory,
        by_uuid=written.ids == "uuid",
        devices=_gpus(document, ("gpus", "devices"), written.devices),
    )


def _log_limit(document: "yaml_document.Document", written: log_keys.Written | None) -> int | None:
    try:
        return None if written is None else log_keys.parse(written)
    except ValueError:
        raise _wrong(document, ("defaults", "log", "limit"), written and written.limit) from None


def _gpus(
    document: "yaml_document.Document", at: "yaml_document.Path", written: list[int | str] | None
) -> tuple[GpuId, ...] | None:
    try:
        return None if written is None else check_ids(written)
    except ValueError:
        raise _wrong(document, at, written) from None


def _seconds(
    document: "yaml_document.Document", at: "yaml_document.Path", length: _Duration | None
) -> float | None:
    try:
        return None if length is None else units.parse(length)
    except ValueError:
        raise _wrong(document, at, length) from None


def _wrong(
    document: "yaml_document.Document", at: "yaml_document.Path", value: object, hint: str = ""
) -> FileError:
    key = ".".join(step for step in at if isinstance(step, str))
    return document.error(f"{key}: expected {_EXPECTED[key]}, got {value!r}", hint, at=at)
