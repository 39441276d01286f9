"""The keys of a task file that make experiments of its task, as far as their types go."""

from typing import Any, Final, Protocol

import msgspec

from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Scalar, Value, plain_text


class WrittenIsolation(msgspec.Struct, forbid_unknown_fields=True):
    """The key `isolate` as written, checked only for types."""

    git: bool
    copy: Value | list[Value] = None
    link: Value | list[Value] = None
    keep: Scalar = "failed"


class Keys(Protocol):
    """The keys, as far as their types go."""

    group: Value
    matrix: dict[str, Any] | None
    samples: int | None
    seed: int | None
    after: Value | list[Value]
    needs: Value | list[Value]
    after_any: bool
    isolate: bool | str | WrittenIsolation | None
    outputs: Value | list[Value]


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
"""What their values should be, in words."""

KEYS: Final = frozenset(key for key in EXPECTED if "." not in key)
"""The keys; most task files have none of them."""


def _texts(written: Value | list[Value]) -> list[str]:
    """Return what stands in a list, or alone; nothing if the key is not there."""
    listed = written if isinstance(written, list) else [] if written is None else [written]
    return [plain_text(value) for value in listed]
