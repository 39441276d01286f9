"""The keys of a task file that make experiments of its task: sweeps, isolation, and what comes after what."""

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from aqueue import documents
from aqueue.calls import CALL
from aqueue.documents import Document
from aqueue.lookalikes import is_range
from aqueue.models import MOST_COMBINATIONS, Isolation, Keep, Task, is_name, is_param
from aqueue.requests import Request
from aqueue.timing import Wrong
from aqueue.values import Scalar, Value, plain_text, stands_for

if TYPE_CHECKING:
    from aqueue.sweeps import Axis, Sweep


class WrittenIsolation(msgspec.Struct, forbid_unknown_fields=True):
    """How a task's attempts are isolated, as far as its types go."""

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
    "samples": f"how many combinations to pick, 1 to {MOST_COMBINATIONS}",
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

_RESERVED: Final = re.compile(r"task\.yaml|attempt-\d.*|checkout-\d.*")
_NO_PARAM: Final = ("this cannot be the name of a param", "use letters, digits and '_', and not AQUEUE_…")
_ONE_LEVEL_UP: Final = ("samples", "after", "needs", "after_any", "isolate", "outputs")
_BY_SCHEDULE: Final = ("matrix", "after", "needs", "isolate")


def with_them(document: Document, written: Keys, task: Task, wrong: Wrong) -> Task:
    """The task, with what the keys say of it.

    Raises:
        FileError: at the first error.
    """
    return msgspec.structs.replace(
        task,
        group=group(written, wrong),
        isolate=isolation(document, written, wrong),
        outputs=outputs(document, written),
    )


def request(document: Document, written: Keys, task: Task, wrong: Wrong) -> Request:
    """What is asked for: the task, as often and as late as the keys say.

    Raises:
        FileError: at the first error.
    """
    found = Request(
        task=task,
        sweep=sweep(document, written, wrong),
        after=names("after", written.after, wrong),
        needs=names("needs", written.needs, wrong),
        after_any=written.after_any,
    )
    if written.after_any and not found.after and not found.needs:
        hint = "say what, with 'after' or 'needs', or leave it out"
        raise document.error("after_any: there is nothing to come after", hint, at=("after_any",), key=True)
    check_request(document, found)
    return found


def sweep(document: Document, written: Keys, wrong: Wrong) -> "Sweep | None":
    """Read which combinations of params a task is to be run with; None if it does not say.

    `include` and `exclude` stand in the matrix, as in GitHub Actions.

    Raises:
        FileError: at the first error.
    """
    if written.matrix is None:
        for key in ("samples", "seed"):
            if getattr(written, key) is not None:
                raise document.error(
                    f"'{key}' is for a task with a matrix",
                    "say which params there are: matrix: …",
                    at=(key,),
                    key=True,
                )
        return None
    # Imported here and below: most task files have none, and a server and a command are to be there soon.
    from aqueue.sweeps import Sweep

    for key in written.matrix:
        if key in _ONE_LEVEL_UP:
            at = ("matrix", key)
            raise document.error(
                f"matrix: '{key}' is no param", "put it one level up, beside 'matrix'", at=at, key=True
            )
    found = Sweep(
        axes={
            key: _axis(document, key, values)
            for key, values in written.matrix.items()
            if key not in ("include", "exclude")
        },
        exclude=_mappings(document, written.matrix, "exclude", wrong),
        include=_mappings(document, written.matrix, "include", wrong),
        samples=written.samples,
        seed=written.seed or 0,
    )
    if found.seed < 0:
        raise wrong(("seed",), found.seed)
    if found.samples is not None and not 1 <= found.samples <= MOST_COMBINATIONS:
        raise wrong(("samples",), found.samples)
    return found


def isolation(document: Document, written: Keys, wrong: Wrong) -> Isolation | None:
    """Read how a task's attempts are isolated; None if they are not.

    Raises:
        FileError: at the first error.
    """
    value = written.isolate
    if value is None or value is False:
        return None
    if value == "git":
        return Isolation()
    if not isinstance(value, WrittenIsolation):
        raise wrong(("isolate",), value)
    if value.keep not in list(Keep):
        raise wrong(("isolate", "keep"), value.keep)
    copy, link = (
        paths(document, ("isolate", key), listed) for key, listed in (("copy", value.copy), ("link", value.link))
    )
    return Isolation(copy=copy, link=link, keep=Keep(str(value.keep))) if value.git else None


def outputs(document: Document, written: Keys) -> tuple[str, ...]:
    """Read what is copied to the run's folder at the end.

    Raises:
        FileError: at the first error.
    """
    found = paths(document, ("outputs",), written.outputs)
    for index, path in enumerate(found):
        if _RESERVED.fullmatch(PurePosixPath(path).parts[0]):
            at: documents.Path = ("outputs", index) if isinstance(written.outputs, list) else ("outputs",)
            raise document.error(f"outputs: aqueue has files like {path} of its own", "choose another name", at=at)
    return found


def paths(document: Document, at: documents.Path, written: Value | list[Value]) -> tuple[str, ...]:
    """Read paths that must be within the working directory.

    Raises:
        FileError: one of them leads out of it.
    """
    what = ".".join(map(str, at))
    listed = _texts(written)
    for index, text in enumerate(listed):
        path = PurePosixPath(text)
        is_home = text.partition("/")[0] == "~"
        if not path.parts or path.is_absolute() or is_home or ".." in path.parts or "\0" in text:
            message = f"{what}: expected a path within the working directory, got {documents.describe(text)}"
            raise document.error(message, at=(*at, index) if isinstance(written, list) else at)
        if path.parts[0] == ".git":
            raise document.error(f"{what}: each checkout has a .git of its own", "leave it out", at=at)
    return tuple(dict.fromkeys(listed))


def group(written: Keys, wrong: Wrong) -> str | None:
    """Read which group a task's runs belong to; None if it does not say.

    Raises:
        FileError: it is no name.
    """
    if written.group is None:
        return None
    name = plain_text(written.group)
    if not is_name(name):
        raise wrong(("group",), name)
    return name


def names(at: str, written: Value | list[Value], wrong: Wrong) -> tuple[str, ...]:
    """Read the runs or tasks that stand in `after` or `needs`.

    Raises:
        FileError: one of them is empty.
    """
    for index, name in enumerate(written if isinstance(written, list) else ()):
        if stands_for(name) in (None, ""):
            raise wrong((at, index), stands_for(name))
    if written == "":
        raise wrong((at,), written)
    return tuple(dict.fromkeys(_texts(written)))


def _texts(written: Value | list[Value]) -> list[str]:
    """Return what stands in a list, or alone; nothing if the key is not there."""
    listed = written if isinstance(written, list) else [] if written is None else [written]
    return [plain_text(value) for value in listed]


def check_places(document: Document) -> None:
    """Refuse keys of a matrix that stand beside it.

    Raises:
        FileError: at the first of them.
    """
    for key in ("include", "exclude"):
        if isinstance(document.value, dict) and key in document.value:
            hint = f"it goes into the matrix: {{lr: [0.1, 0.01], {key}: [{{lr: 0.1}}]}}"
            raise document.error(f"unknown key '{key}'", hint, at=(key,), key=True)


def check_request(document: Document, request: Request) -> None:
    """Refuse a sweep that makes no sense, or whose runs could not be named.

    Raises:
        FileError: with what is wrong with it.
    """
    if request.sweep is None:
        return
    from aqueue.sweeps import SweepError

    try:
        last = request.last_name()
    except SweepError as error:
        raise document.error(f"matrix: {error.message}", error.hint, at=("matrix",)) from None
    if not is_name(last):
        hint = f"its runs are named {request.task.name}-1 and so on, with 64 characters at most"
        raise document.error("the name is too long for a sweep", hint, at=("name",))


def refuse_in_schedule(document: Document) -> None:
    """Refuse what a schedule cannot have, because its runs are made from what was read long ago.

    Raises:
        FileError: at the first such key.
    """
    for key in _BY_SCHEDULE:
        if document.value.get(key):
            hint = "have a task with this schedule queue another file: command: aqueue enqueue FILE"
            raise document.error(f"'{key}' is not for a task with a schedule", hint, at=(key,), key=True)


def _axis(document: Document, key: str, values: Any) -> "Axis":
    if not is_param(key):
        raise document.error(f"matrix.{key}: {_NO_PARAM[0]}", _NO_PARAM[1], at=("matrix", key), key=True)
    for index, value in enumerate(values if isinstance(values, list) else ()):
        _refuse_nul(document, ("matrix", key, index), value)
    _refuse_nul(document, ("matrix", key), values)
    from aqueue.sweeps import SweepError, parse_axis

    try:
        return parse_axis(values)
    except SweepError as error:
        raise document.error(f"matrix.{key}: {error.message}", error.hint, at=("matrix", key)) from None


def _mappings(document: Document, matrix: dict[str, Any], key: str, wrong: Wrong) -> tuple[dict[str, Value], ...]:
    written = matrix.get(key, [])
    if not isinstance(written, list):
        raise wrong(("matrix", key), written)
    for index, mapping in enumerate(written):
        if not isinstance(mapping, dict):
            raise wrong(("matrix", key, index), mapping)
        for name, value in mapping.items():
            at: documents.Path = ("matrix", key, index, name)
            if not is_param(name):
                raise document.error(f"matrix.{key}: {_NO_PARAM[0]}", _NO_PARAM[1], at=at, key=True)
            if isinstance(value, str) and (CALL.match(value) or is_range(value)):
                message = f"matrix.{key}.{name}: {documents.describe(value)} would be one value here, a text"
                raise document.error(
                    message, "write an entry for each value, or have them in the matrix itself", at=at
                )
            if isinstance(value, dict | list):
                message = f"matrix.{key}.{name}: expected a plain value, got {documents.describe(value)}"
                raise document.error(message, at=at)
            _refuse_nul(document, at, value)
    return tuple(written)


def _refuse_nul(document: Document, at: documents.Path, value: Any) -> None:
    if isinstance(value, str) and "\0" in value:
        raise document.error("matrix: a value cannot have a NUL character in it", "leave it out", at=at)
