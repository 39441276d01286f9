"""The names that a task uses: those of its params, and those that are to be filled in."""

from collections.abc import Collection, Container, Iterator, Sequence

from aqueue.errors import FileError
from aqueue.formats import yaml_document
from aqueue.formats.placeholders import OWN_VARIABLES, UnknownNameError, is_misspelt, names_in
from aqueue.formats.yaml_document import Document
from aqueue.model.submission import Submission
from aqueue.model.task import Task, variable_of


def params_of(request: Submission) -> list[str]:
    """Return the names of all params that a run of the request may have."""
    sweep = request.sweep
    names = dict.fromkeys(request.task.params)
    if sweep is not None:
        names |= dict.fromkeys(sweep.axes)
        names |= dict.fromkeys(name for included in sweep.include for name in included)
    return [*names]


def two_of_one_variable(params: Collection[str]) -> tuple[str, str] | None:
    """Return two params that would be one environment variable; None if there are none such."""
    variables: dict[str, str] = {}
    for param in params:
        if (other := variables.setdefault(variable_of(param), param)) != param:
            return other, param
    return None


def check(document: Document, request: Submission, variables: Container[str] | None = None) -> None:
    """Refuse params that are in each other's way, and `${NAME}` where that can be neither a param nor a variable.

    Args:
        variables: those of an environment that the runs' will be like; None: it is not known yet.

    Raises:
        FileError: at each such name, or at the first such param.
    """
    task = request.task
    if not request.sweep and not _uses_names(task):
        return
    params = params_of(request)
    if both := two_of_one_variable(params):
        message = f"params: {both[0]} and {both[1]} would both be the variable {variable_of(both[0])}"
        raise document.error(message, "rename one of them", at=_at_param(document, both[1]), key=True)
    if isinstance(task.command, str):
        for name in names_in(task.command):
            if "." in name and name in params:
                hint = f"a string is the shell's: write ${variable_of(name)} there"
                raise document.error(f"command: no shell can read ${{{name}}}", hint, at=("command",))
    own = [*params, *map(variable_of, params), *task.base_env, *OWN_VARIABLES]
    known = [*own, *task.env]
    errors: list[FileError] = []
    for at, name, below in _to_be_filled_in(task):
        is_unknown = variables is not None and name not in variables and (name in below or name not in known)
        if name not in own and (is_unknown or is_misspelt(name, known)):
            error = UnknownNameError(name, known, below)
            what = ".".join(step for step in at if isinstance(step, str))
            errors.append(document.error(f"{what}: {error.message}", error.hint, at=at))
    if errors:
        raise FileError.together(errors)


def _uses_names(task: Task) -> bool:
    """Return whether there is anything to look at; most tasks have nothing, and are to be read in no time."""
    texts = [task.command] if isinstance(task.command, str) else task.command
    return any("${" in text for text in (*texts, *task.env.values())) or any("." in name for name in task.params)


def _to_be_filled_in(task: Task) -> Iterator[tuple[yaml_document.Path, str, Sequence[str]]]:
    """Return where which name stands, and which entries of `env` are not known there yet."""
    entries = [*task.env]
    for number, variable in enumerate(entries):
        yield from ((("env", variable), name, entries[number:]) for name in names_in(task.env[variable]))
    for index, word in enumerate(task.command if not isinstance(task.command, str) else ()):
        yield from ((("command", index), name, ()) for name in names_in(word))


def _at_param(document: Document, name: str) -> yaml_document.Path:
    for key in ("params", "matrix"):
        if name in document.value.get(key, {}):
            return key, name
    return ("matrix",)
