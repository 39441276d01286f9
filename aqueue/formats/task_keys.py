"""The keys of a task file, with their types and the values they expect."""

from typing import Annotated, Any

import msgspec

from aqueue import units
from aqueue.errors import FileError
from aqueue.formats import log_keys, yaml_records
from aqueue.formats.yaml_document import Document, Path
from aqueue.model.gpu import GPUS
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Scalar, Value, plain_text
from aqueue.units import SIZE

Duration = int | float | str

NAME = "1 to 64 letters, digits, '_', '.' or '-'"
_LENGTH = "a length of time such as 90, 90s, 1h30m or 2d12h"
_WITHIN = "a list of paths within the working directory"
_TRUTH = "true or false"


class WrittenIsolation(msgspec.Struct, forbid_unknown_fields=True):
    """The key `isolate` as it is written."""

    git: Annotated[bool, _TRUTH]
    copy: Annotated[Value | list[Value], _WITHIN] = None
    link: Annotated[Value | list[Value], _WITHIN] = None
    keep: Annotated[Scalar, "always, failed or never"] = "failed"


class WrittenRetries(msgspec.Struct, forbid_unknown_fields=True):
    """The key `retries` as it is written."""

    limit: Annotated[int, "a number from 0 upwards"]
    delay: Annotated[Duration, _LENGTH] = 0
    backoff: Annotated[float, "a number from 1 upwards"] = 1
    max_delay: Annotated[Duration | None, _LENGTH] = None
    exit_codes: Annotated[list[int], "a list of exit codes, 0 to 255"] = []


class Keys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a task as they are written."""

    command: Annotated[Value | list[Value], "a shell command, or a list of a program and its arguments"]
    name: Annotated[Value, NAME] = None
    queue: Annotated[Value, NAME] = None
    priority: Annotated[Scalar, "high or low"] = "low"
    params: Annotated[dict[str, Value], "keys and plain values, such as {lr: 0.1}"] = {}
    env: Annotated[dict[str, Value], "keys and plain values, such as {OMP_NUM_THREADS: 4}"] = {}
    working_dir: Annotated[Value, "a directory"] = None
    shell: Annotated[Value, "the path of a shell, such as /bin/bash"] = None
    timeout: Annotated[Duration | None, _LENGTH] = None
    log: Annotated[log_keys.WrittenLog | None, log_keys.LOG] = None
    retries: Annotated[
        int | WrittenRetries | None,
        "a number, or {limit: 2, delay: 10s, backoff: 2, max_delay: 5m, exit_codes: [1, 75]}",
    ] = None
    requeue: Annotated[bool, _TRUTH] = True
    tags: Annotated[Value | list[Value], "a list of key=value or key"] = ""
    hold: Annotated[bool, _TRUTH] = False
    gpus: Annotated[int | list[int | str] | None, f"a number of GPUs, or {GPUS}"] = None
    gpu_memory: Annotated[int | str | None, SIZE] = None
    group: Annotated[Value, NAME] = None
    matrix: Annotated[
        dict[str, Any] | None,
        "params with all of their values, such as {lr: [0.1, 0.01], seed: range(1, 5)}",
    ] = None
    samples: Annotated[int | None, f"how many combinations to pick, 1 to {MAX_COMBINATIONS}"] = None
    seed: Annotated[int | None, "a whole number from 0 upwards"] = None
    after: Annotated[Value | list[Value], "a list of runs or groups, such as [train-1, 42, group:train]"] = None
    needs: Annotated[Value | list[Value], "a list of names of tasks in the same file"] = None
    after_any: Annotated[bool, _TRUTH] = False
    isolate: Annotated[
        bool | str | WrittenIsolation | None, "git, or {git: true, copy: [.env], link: [data], keep: failed}"
    ] = None
    outputs: Annotated[Value | list[Value], _WITHIN] = None
    schedule: Annotated[
        str | list[str] | None, 'an expression such as "0 2 * * *" or @daily, or a list of them'
    ] = None
    at: Annotated[str | None, "a time such as 2026-12-24T18:00:00+01:00"] = None
    timezone: Annotated[str | None, "the name of a timezone, such as Europe/Berlin"] = None
    catchup_window: Annotated[Duration | None, "a length of time such as 12h or 2d12h"] = None
    overlap: Annotated[Scalar, "all, skip or latest"] = None


def wrong(document: Document, at: Path, value: Any) -> FileError:
    """Return the error for a value that is not what its key expects."""
    return yaml_records.unexpected(document, Keys, at, value)


def texts(written: Value | list[Value]) -> list[str]:
    """Return the values of a key as texts, whether a list or a single value; empty if the key is missing."""
    listed = written if isinstance(written, list) else [] if written is None else [written]
    return [plain_text(value) for value in listed]


def seconds(document: Document, at: Path, written: Duration | None) -> float | None:
    """Return a duration in seconds; None if none is given.

    Raises:
        FileError: it is not a duration.
    """
    if written is None:
        return None
    try:
        return units.parse(written)
    except ValueError:
        raise wrong(document, at, written) from None
