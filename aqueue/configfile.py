"""The text of `aqueue.yaml` → configuration, every error with file, line and column."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from aqueue import durations
from aqueue.config import Config
from aqueue.errors import FileError
from aqueue.folder import Folder
from aqueue.models import Retries, Scalar, plain_text

if TYPE_CHECKING:
    from aqueue import documents

_Duration = int | float | str

_UNSUPPORTED = ("queues", "gpus", "timezone")


class _Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    interval: _Duration = "5s"
    stale_after: _Duration = "30s"


class _Defaults(msgspec.Struct, forbid_unknown_fields=True):
    env: dict[str, Scalar] = {}
    timeout: _Duration | None = None
    retries: int = 0


class _History(msgspec.Struct, forbid_unknown_fields=True):
    keep: _Duration = "30d"


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    jobs: int = 1
    idle_timeout: _Duration = "never"
    heartbeat: _Heartbeat = msgspec.field(default_factory=_Heartbeat)
    grace: _Duration = "10s"
    defaults: _Defaults = msgspec.field(default_factory=_Defaults)
    history: _History = msgspec.field(default_factory=_History)


_LENGTH = "a length of time such as 10s, 5m or 1h30m"
_EXPECTED = {
    "jobs": "a number from 1 upwards",
    "idle_timeout": f"never, or {_LENGTH}",
    "heartbeat.interval": _LENGTH,
    "heartbeat.stale_after": _LENGTH,
    "heartbeat": "{interval: 5s, stale_after: 30s}",
    "grace": _LENGTH,
    "defaults.env": "keys and plain values, such as {OMP_NUM_THREADS: 4}",
    "defaults.timeout": _LENGTH,
    "defaults.retries": "a number from 0 upwards",
    "defaults": "{env: {}, timeout: 4h, retries: 0}",
    "history.keep": _LENGTH,
    "history": "{keep: 30d}",
}


def load(folder: Folder) -> Config:
    """Read the folder's `aqueue.yaml`; without one, everything is at its default.

    Raises:
        FileError: there is an error in it, or it cannot be read.
    """
    file = os.path.relpath(folder.config)
    try:
        content = folder.config.read_bytes()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise FileError(file, 0, 0, f"cannot be read: {error.strerror}") from error
    return parse(content, file)


def parse(content: bytes, file: str) -> Config:
    """Read a configuration; `file` is what errors call it.

    Raises:
        FileError: there is an error in it.
    """
    # Imported here: YAML takes a while to import, and most folders have no configuration.
    from aqueue import documents

    found = list(documents.read(documents.decode(content, file), file))
    if not found:
        return Config()
    if len(found) > 1:
        raise found[1].error("a configuration is one document", "remove the second")
    return _config(found[0])


def _config(document: "documents.Document") -> Config:
    from aqueue.taskfile import check_variables

    written = document.convert(_Written, _EXPECTED, _UNSUPPORTED)
    check_variables(document, ("defaults", "env"), written.defaults.env)
    lengths: Mapping[documents.Path, _Duration | None] = {
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
    ):
        if number < least:
            raise _wrong(document, at, number)
    interval = seconds["heartbeat", "interval"] or 0.0
    if interval < 0.1:
        raise document.error("heartbeat.interval: 100ms is the least", at=("heartbeat", "interval"))
    return Config(
        jobs=written.jobs,
        idle_timeout=seconds[("idle_timeout",)],
        heartbeat_interval=interval,
        stale_after=seconds["heartbeat", "stale_after"] or 0.0,
        grace=seconds[("grace",)] or 0.0,
        env={key: plain_text(value) for key, value in written.defaults.env.items()},
        timeout=seconds["defaults", "timeout"] or None,
        retries=Retries(limit=written.defaults.retries),
        keep=seconds["history", "keep"] or 0.0,
    )


def _seconds(document: "documents.Document", at: "documents.Path", length: _Duration | None) -> float | None:
    try:
        return None if length is None else durations.parse(length)
    except ValueError:
        raise _wrong(document, at, length) from None


def _wrong(document: "documents.Document", at: "documents.Path", value: object) -> FileError:
    key = ".".join(map(str, at))
    return document.error(f"{key}: expected {_EXPECTED[key]}, got {value!r}", at=at)
