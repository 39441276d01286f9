"""The keys of a task file for sweeps."""

from typing import TYPE_CHECKING, Any, Final

from aqueue.errors import FileError
from aqueue.formats.lookalikes import meant_by
from aqueue.formats.task_keys import GOES_WITH, Keys
from aqueue.formats.written_types import ONE_LEVEL_UP
from aqueue.formats.yaml_calls import CALL
from aqueue.formats.yaml_document import Document, Path
from aqueue.formats.yaml_values import describe
from aqueue.model.basics import is_name
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from aqueue.model.task import is_param
from aqueue.model.values import Value

if TYPE_CHECKING:
    from aqueue.model.sweep import Axis, Sweep

_NO_PARAM: Final = ("this cannot be the name of a param", "use letters, digits and '_', and not AQUEUE_…")

_MAPPINGS: Final = "a list of params, such as [{lr: 0.1, seed: 1}]"

_LONGEST_WITH_TIME: Final = 64 - len("-20270115T081000.123456Z")


def sweep(document: Document, written: Keys) -> "Sweep | None":
    """Return the sweep of a task; None if it has none.

    `include` and `exclude` stand in the matrix, as in GitHub Actions.

    Raises:
        FileError: at the first error.
    """
    if written.matrix is None:
        for key, others in GOES_WITH.items():
            if "matrix" in others and getattr(written, key) is not None:
                raise document.error(
                    f"'{key}' is for a task with a matrix",
                    "add the params and their values: matrix: …",
                    at=(key,),
                    key=True,
                )
        return None
    # Imported here and below because most task files have no sweep.
    from aqueue.model.sweep import Sweep

    for key in written.matrix:
        if key in ONE_LEVEL_UP:
            at = ("matrix", key)
            raise document.error(
                f"matrix: '{key}' is not a param", "put it one level up, beside 'matrix'", at=at, key=True
            )
    return Sweep(
        axes={
            key: _axis(document, key, values)
            for key, values in written.matrix.items()
            if key not in ("include", "exclude")
        },
        exclude=_mappings(document, written.matrix, "exclude"),
        include=_mappings(document, written.matrix, "include"),
        samples=written.samples,
        seed=written.seed,
    )


def check_places(document: Document) -> None:
    """Check that no key of a matrix is outside it.

    Raises:
        FileError: at the first of them.
    """
    for key in ("include", "exclude"):
        if isinstance(document.value, dict) and key in document.value:
            hint = f"it goes into the matrix: {{lr: [0.1, 0.01], {key}: [{{lr: 0.1}}]}}"
            raise document.error(f"unknown key '{key}'", hint, at=(key,), key=True)


def check_request(document: Document, request: Submission) -> None:
    """Check that a sweep has combinations, and that its runs have valid names.

    Raises:
        FileError: it does not.
    """
    if request.sweep is None:
        return
    from aqueue.model.sweep import SweepError

    try:
        last = request.longest_name()
    except SweepError as error:
        raise document.error(f"matrix: {error.message}", error.hint, at=("matrix",)) from None
    if not is_name(last):
        hint = f"its runs are named {request.task.name}-1 and so on, with 64 characters at most"
        raise document.error("the name is too long for a sweep", hint, at=("name",))


def check_group(document: Document, schedule: Schedule) -> None:
    """Check that the runs of each due time can have their own group.

    Raises:
        FileError: the name is too long for that.
    """
    if (
        schedule.submission.sweep is not None
        and not schedule.task.group
        and len(schedule.name) > _LONGEST_WITH_TIME
    ):
        hint = f"use {_LONGEST_WITH_TIME} characters at most, or give it a 'group'"
        raise document.error("the name is too long for a sweep with a schedule", hint, at=("name",))


def _axis(document: Document, key: str, values: Any) -> "Axis":
    if not is_param(key):
        raise document.error(f"matrix.{key}: {_NO_PARAM[0]}", _NO_PARAM[1], at=("matrix", key), key=True)
    for index, value in enumerate(values if isinstance(values, list) else ()):
        _refuse_nul(document, ("matrix", key, index), value)
    _refuse_nul(document, ("matrix", key), values)
    from aqueue.formats.sweep_syntax import parse_axis, refuse_lacking_comma
    from aqueue.model.sweep import SweepError

    try:
        if isinstance(values, list):
            refuse_lacking_comma(values, lambda index: document.is_quoted(("matrix", key, index)))
        return parse_axis(values)
    except SweepError as error:
        raise document.error(f"matrix.{key}: {error.message}", error.hint, at=("matrix", key)) from None


def _mappings(document: Document, matrix: dict[str, Any], key: str) -> tuple[dict[str, Value], ...]:
    written = matrix.get(key, [])
    if not isinstance(written, list):
        raise _no_mappings(document, ("matrix", key), written)
    for index, mapping in enumerate(written):
        if not isinstance(mapping, dict):
            raise _no_mappings(document, ("matrix", key, index), mapping)
        for name, value in mapping.items():
            at: Path = ("matrix", key, index, name)
            if not is_param(name):
                raise document.error(f"matrix.{key}: {_NO_PARAM[0]}", _NO_PARAM[1], at=at, key=True)
            if isinstance(value, str) and not document.is_quoted(at) and (CALL.match(value) or meant_by(value)):
                message = f"matrix.{key}.{name}: {describe(value)} would be a single text here"
                hint = "write an entry for each value, or put them in the matrix itself"
                raise document.error(message, f"{hint}; if it is text, put it in quotes", at=at)
            if isinstance(value, dict | list):
                message = f"matrix.{key}.{name}: expected a plain value, got {describe(value)}"
                raise document.error(message, at=at)
            _refuse_nul(document, at, value)
    return tuple(written)


def _no_mappings(document: Document, at: Path, value: Any) -> FileError:
    got = repr(value) if isinstance(value, str | list) else describe(value)
    return document.error(f"matrix.{at[1]}: expected {_MAPPINGS}, got {got}", at=at)


def _refuse_nul(document: Document, at: Path, value: Any) -> None:
    if isinstance(value, str) and "\0" in value:
        raise document.error("matrix: a value cannot have a NUL character in it", "leave it out", at=at)
