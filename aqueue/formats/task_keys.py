"""The keys of a task file as far as their types go; those of schedules are in `schedule_keys`."""

from typing import Any, Final

import msgspec

from aqueue.formats import log_keys
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Scalar, Value, plain_text

Duration = int | float | str


class WrittenIsolation(msgspec.Struct, forbid_unknown_fields=True):
    """The key `isolate` as written, checked only for types."""

    git: bool
    copy: Value | list[Value] = None
    link: Value | list[Value] = None
    keep: Scalar = "failed"


class WrittenRetries(msgspec.Struct, forbid_unknown_fields=True):
    """The key `retries` as written, checked only for types."""

    limit: int
    delay: Duration = 0
    backoff: float = 1
    max_delay: Duration | None = None
    exit_codes: list[int] = []


class PlainKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a task that is a single run, as far as their types go."""

    command: Value | list[Value]
    name: Value = None
    queue: Value = None
    priority: Scalar = "low"
    params: dict[str, Value] = {}
    env: dict[str, Value] = {}
    working_dir: Value = None
    shell: Value = None
    timeout: Duration | None = None
    log: log_keys.Written | None = None
    retries: int | WrittenRetries | None = None
    requeue: bool = True
    tags: Value | list[Value] = ""
    hold: bool = False
    gpus: int | list[int | str] | None = None
    gpu_memory: int | str | None = None


class Keys(PlainKeys, forbid_unknown_fields=True, kw_only=True):
    """Those of experiments, too, as far as their types go."""

    group: Value = None
    matrix: dict[str, Any] | None = None
    samples: int | None = None
    seed: int | None = None
    after: Value | list[Value] = None
    needs: Value | list[Value] = None
    after_any: bool = False
    isolate: bool | str | WrittenIsolation | None = None
    outputs: Value | list[Value] = None


_WITHIN: Final = "a list of paths within the working directory"

_MAPPINGS: Final = "a list of params, such as [{lr: 0.1, seed: 1}]"

EXPECTED: Final = {
    "group": "1 to 64 letters, digits, '_', '.' or '-'",
    "matrix.include": _MAPPINGS,
    "matrix.exclude": _MAPPINGS,
    "matrix": "params with all of their values, such as {lr: [0.1, 0.01], seed: range(1, 5)}",
    "samples": f"how many combinations to pick, 1 to {MAX_COMBINATIONS}",
    "seed": "a whole number from 0 upwards",
    "after": "a list of runs or groups, such as [train-1, 42, group:train]",
    "needs": "a list of names of tasks in the same file",
    "after_any": "true or false",
    "isolate.git": "true or false",
    "isolate.copy": _WITHIN,
    "isolate.link": _WITHIN,
    "isolate.keep": "always, failed or never",
    "isolate": "git, or {git: true, copy: [.env], link: [data], keep: failed}",
    "outputs": _WITHIN,
}
"""Their values, in words."""

KEYS: Final = frozenset(key for key in EXPECTED if "." not in key)
"""The keys; most task files have none of them."""


def texts(written: Value | list[Value]) -> list[str]:
    """Return what stands in a list, or alone; nothing if the key is not there."""
    listed = written if isinstance(written, list) else [] if written is None else [written]
    return [plain_text(value) for value in listed]
