"""The keys of a task file, with their types, what they expect and what they are for.

The reader and the JSON Schema are both made of these declarations.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from aqueue import units
from aqueue.errors import FileError
from aqueue.formats import log_keys, notify_keys, notify_words, yaml_records
from aqueue.formats import written_types as types
from aqueue.formats.written_types import Duration
from aqueue.formats.yaml_document import Document, Path
from aqueue.model.gpu import GPUS, MAX_GPUS
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Scalar, Value, plain_text
from aqueue.units import SIZE

NAME = "1 to 64 letters, digits, '_', '.' or '-'"
_LENGTH = "a length of time such as 90, 90s, 1h30m or 2d12h"
_WITHIN = "a list of paths within the working directory"
_TRUTH = "true or false"

HOME: Final = ("working_dir",)
"""The keys for which `~` is a directory."""

GOES_WITH: Final = {
    **dict.fromkeys(("samples", "seed"), ("matrix",)),
    **dict.fromkeys(("timezone", "catchup_window", "overlap"), ("schedule", "at")),
}
"""The keys that are for tasks with one of certain others."""


class WrittenIsolation(msgspec.Struct, forbid_unknown_fields=True):
    """The key `isolate` as it is written."""

    git: Annotated[bool, _TRUTH, "Run in a checkout of the code as it was when the run was queued."]
    copy: Annotated[
        types.Within | list[types.Within], _WITHIN, "What git does not know, to be copied into the checkout."
    ] = None
    link: Annotated[
        types.Within | list[types.Within], _WITHIN, "What git does not know, to be linked into the checkout."
    ] = None
    keep: Annotated[
        Literal["always", "failed", "never"], "always, failed or never", "The checkouts to keep after their end."
    ] = "failed"


class WrittenRetries(msgspec.Struct, forbid_unknown_fields=True):
    """The key `retries` as it is written."""

    limit: Annotated[types.FromZero, "a number from 0 upwards", "How many times to try again."]
    delay: Annotated[Duration, _LENGTH, "The time before the first retry."] = 0
    backoff: Annotated[
        Annotated[float, Meta(ge=1)], "a number from 1 upwards", "The factor from one delay to the next."
    ] = 1
    max_delay: Annotated[Duration | None, _LENGTH, "The longest delay."] = None
    exit_codes: Annotated[
        list[Annotated[int, Meta(ge=0, le=255)]],
        "a list of exit codes, 0 to 255",
        "Try again only after these; default: all but 0.",
    ] = []


class Keys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a task as they are written."""

    command: Annotated[
        types.Command,
        "a shell command, or a list of a program and its arguments",
        "Run by /bin/sh; a list, without.",
    ]
    name: Annotated[types.Name, NAME, "Default: the name of the file without .yaml."] = None
    queue: Annotated[
        types.Name, NAME, "Default: the sub-folder of the file, else a queue of its own, named as the task."
    ] = None
    priority: Annotated[Literal["high", "low"], "high or low", "High goes before low."] = "low"
    params: Annotated[
        types.Params,
        "keys and plain values, such as {lr: 0.1}",
        "Environment variables; ${lr} in lists and `env`.",
    ] = {}
    env: Annotated[
        types.Environment, "keys and plain values, such as {OMP_NUM_THREADS: 4}", "Further environment variables."
    ] = {}
    working_dir: Annotated[types.Text, "a directory", "Relative to the directory in which the folder lies."] = None
    shell: Annotated[
        types.ShellPath, "the path of a shell, such as /bin/bash", "Runs the command instead of /bin/sh."
    ] = None
    timeout: Annotated[Duration | None, _LENGTH, "The longest time for an attempt; 0: no limit."] = None
    log: Annotated[log_keys.WrittenLog | None, log_keys.LOG, log_keys.USE] = None
    retries: Annotated[
        types.FromZero | WrittenRetries | None,
        "a number, or {limit: 2, delay: 10s, backoff: 2, max_delay: 5m, exit_codes: [1, 75]}",
        "How often, and when, to try again after a failure.",
    ] = None
    requeue: Annotated[bool, _TRUTH, "Run it again if it is lost with the machine."] = True
    tags: Annotated[
        Value | list[types.Tag], "a list of key=value or key", "By which runs can be found: `aqueue ls --tag`."
    ] = ""
    hold: Annotated[bool, _TRUTH, "Do not start it before `aqueue release`."] = False
    gpus: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_GPUS)] | types.GpuIds | None,
        f"a number of GPUs, or {GPUS}",
        "The GPUs of an attempt; 0 hides all.",
    ] = None
    gpu_memory: Annotated[types.Size | None, SIZE, "Free memory that each GPU must have."] = None
    group: Annotated[
        types.Name, NAME, "Runs that belong together; default for a matrix: the name of the task."
    ] = None
    matrix: Annotated[
        types.Matrix | None,
        "params with all of their values, such as {lr: [0.1, 0.01], seed: range(1, 5)}",
        "A run for each combination.",
    ] = None
    samples: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_COMBINATIONS)] | None,
        f"how many combinations to pick, 1 to {MAX_COMBINATIONS}",
        "Run only so many combinations, picked at random.",
    ] = None
    seed: Annotated[
        types.FromZero | None, "a whole number from 0 upwards", "The same seed picks the same samples."
    ] = None
    after: Annotated[
        types.Texts,
        "a list of runs or groups, such as [train-1, 42, group:train]",
        "Start once these have succeeded.",
    ] = None
    needs: Annotated[
        types.Texts, "a list of names of tasks in the same file", "Start once these have succeeded."
    ] = None
    after_any: Annotated[
        bool, _TRUTH, "Start once those of `after` and `needs` are over, also if they failed."
    ] = False
    isolate: Annotated[
        bool | Literal["git"] | WrittenIsolation | None,
        "git, or {git: true, copy: [.env], link: [data], keep: failed}",
        "Run in a checkout of the code as it was when the run was queued.",
    ] = None
    outputs: Annotated[
        types.Within | list[types.Within], _WITHIN, "Paths and patterns to copy to the run's folder at the end."
    ] = None
    stdin: Annotated[
        Literal["open"] | None, "open", "Its input is what `aqueue send` sends; otherwise it is empty."
    ] = None
    progress: Annotated[
        types.Progress | None,
        r"a regular expression with one or two groups, such as 'epoch (\d+)/(\d+)'",
        "The lines of the output that tell the progress.",
    ] = None
    schedule: Annotated[
        types.Crons | None,
        'an expression such as "0 2 * * *" or @daily, or a list of them',
        "Run whenever it is due; the file stays in the folder.",
    ] = None
    at: Annotated[types.Moment | None, "a time such as 2026-12-24T18:00:00+01:00", "Run once at this time."] = None
    timezone: Annotated[
        str | None, "the name of a timezone, such as Europe/Berlin", "The timezone of `schedule` and `at`."
    ] = None
    catchup_window: Annotated[
        Duration | None, "a length of time such as 12h or 2d12h", "Make up for due times missed within this time."
    ] = None
    overlap: Annotated[
        Literal["all", "skip", "latest"] | None,
        "all, skip or latest",
        "With an earlier run not over: run anyway, skip, or replace what waits.",
    ] = None
    notify: Annotated[
        Scalar | list[Scalar] | notify_keys.WrittenNotify,
        notify_words.NOTIFY,
        "Who is told how its runs end; default: as aqueue.yaml says.",
    ] = None


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
