"""Checks of the names a task uses: its params, and its placeholders."""

from collections.abc import Collection, Container, Iterator, Mapping

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
    """Return two params that map to the same environment variable; None if there are none."""
    variables: dict[str, str] = {}
    for param in params:
        if (other := variables.setdefault(variable_of(param), param)) != param:
            return other, param
    return None


def check(document: Document, request: Submission, variables: Container[str] | None = None) -> None:
    """Check that params do not conflict, and that each `${NAME}` can be a param or a variable.

    Args:
        variables: the expected environment of the runs; None if unknown.

    Raises:
        FileError: at each unknown name, or at the first conflicting param.
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
                hint = f"a shell runs the command: write ${variable_of(name)}"
                raise document.error(f"command: no shell can read ${{{name}}}", hint, at=("command",))
    errors = [*_shell_names(document, task, params), *_wrong_names(document, request, variables)]
    if errors:
        raise FileError.together(errors)


def _shell_names(document: Document, task: Task, params: Collection[str]) -> Iterator[FileError]:
    """Yield an error for each `$NAME` in a list that means a param: no shell expands it."""
    for index, word in enumerate(task.command if not isinstance(task.command, str) else ()):
        for name in params if word.startswith("$") else ():
            if word == f"${variable_of(name)}":
                message = f"command: {word} in a list is taken literally: no shell expands it"
                yield document.error(message, f"write ${{{name}}}", at=("command", index))


def _wrong_names(document: Document, request: Submission, variables: Container[str] | None) -> Iterator[FileError]:
    """Yield an error for each `${NAME}` that a run would not know."""
    task, params = request.task, params_of(request)
    own = [*params, *map(variable_of, params), *task.base_env, *OWN_VARIABLES]
    known = [*own, *task.env]
    places = [*_to_be_filled_in(task)]
    lacking = _lacking(request, {name for _, name, _ in places})
    for at, name, below in places:
        is_unknown = variables is not None and name not in variables and (name in below or name not in known)
        if name in lacking and (name in below or name not in task.env):
            message = f"the run {lacking[name]} has no param {name}"
            hint = f"give all runs one, as in params: {{{name}: 1}}"
        elif name not in own and (is_unknown or is_misspelt(name, known)):
            error = UnknownNameError(name, known, below, str(at[1]) if below else "")
            message, hint = error.message, error.hint
        else:
            continue
        what = ".".join(step for step in at if isinstance(step, str))
        yield document.error(f"{what}: {message}", hint, at=at)


def _uses_names(task: Task) -> bool:
    """Return True if the task may use any name. Most tasks use none, and skip the checks."""
    words = () if isinstance(task.command, str) else task.command
    if any(word.startswith("$") for word in words):
        return True
    texts = (task.command,) if isinstance(task.command, str) else words
    return any("${" in text for text in (*texts, *task.env.values())) or any("." in name for name in task.params)


def _lacking(request: Submission, names: Collection[str]) -> dict[str, str]:
    """Return those names that are params of only some runs, each with the first run without it."""
    task, sweep = request.task, request.sweep
    everywhere = {*task.params, *task.base_env, *OWN_VARIABLES}
    everywhere |= {variable_of(name) for name in task.params}
    left = {*names} - everywhere
    # Only entries of `include` can lack an axis.
    if sweep is None or not sweep.include or not left:
        return {}
    some = {way for name in params_of(request) for way in (name, variable_of(name))} & left
    found: dict[str, str] = {}
    for run in request.tasks() if some else ():
        had = {way for name in run.params for way in (name, variable_of(name))}
        for name in some - had - found.keys():
            found[name] = run.name
    return found


def _to_be_filled_in(task: Task) -> Iterator[tuple[yaml_document.Path, str, Mapping[str, str]]]:
    """Yield each placeholder's place and name, and the entries of `env` not yet defined there."""
    below = dict(task.env)
    for variable, text in task.env.items():
        yield from ((("env", variable), name, below) for name in names_in(text))
        below = {name: text for name, text in below.items() if name != variable}
    for index, word in enumerate(task.command if not isinstance(task.command, str) else ()):
        yield from ((("command", index), name, {}) for name in names_in(word))


def _at_param(document: Document, name: str) -> yaml_document.Path:
    for key in ("params", "matrix"):
        if name in document.value.get(key, {}):
            return key, name
    return ("matrix",)
