"""Task files: YAML text → tasks or schedules, every error with file, line and column."""

import functools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from aqueue.errors import FileError
from aqueue.formats import (
    dependency_keys,
    empty_values,
    log_keys,
    mistakes,
    param_keys,
    schedule_keys,
    sweep_keys,
    task_keys,
    tasks_together,
)
from aqueue.formats import names as names_in_tasks
from aqueue.formats import yaml_document as documents
from aqueue.formats.task_keys import WrittenRetries
from aqueue.formats.yaml_document import Document
from aqueue.model.config import Defaults
from aqueue.model.gpu import GPU_VARIABLES, GPUS, MAX_GPUS, GpuId, check_ids
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from aqueue.model.task import (
    PARAM,
    VARIABLE,
    Priority,
    Retries,
    Task,
    check_tags,
    is_name,
    parse_tags,
    variable_of,
)
from aqueue.model.values import Value, is_number, plain_text, stands_for
from aqueue.units import SIZE, parse_size


class Content(msgspec.Struct, frozen=True):
    """The contents of a task file: tasks to run once, or schedules; never both.

    Attributes:
        documents: in which the requests, or else the schedules, are written, one for each.
    """

    requests: list[Submission] = []
    schedules: list[Schedule] = []
    documents: list[Document] = []

    @property
    def tasks(self) -> list[Task]:
        """Return its tasks as they are written, whenever they are to be run."""
        return [submission.task for submission in self.submissions]

    @property
    def submissions(self) -> list[Submission]:
        """Return what it asks for, whenever that is to be run."""
        return self.requests or [schedule.submission for schedule in self.schedules]


_LENGTH = "a length of time such as 90, 90s, 1h30m or 2d12h"
_NAME = "1 to 64 letters, digits, '_', '.' or '-'"
_EXPECTED: Final = {
    "command": "a shell command, or a list of a program and its arguments",
    "name": _NAME,
    "queue": _NAME,
    "priority": "high or low",
    "params": "keys and plain values, such as {lr: 0.1}",
    "env": "keys and plain values, such as {OMP_NUM_THREADS: 4}",
    "working_dir": "a directory",
    "shell": "the path of a shell, such as /bin/bash",
    "timeout": _LENGTH,
    **log_keys.EXPECTED,
    "retries.delay": _LENGTH,
    "retries.max_delay": _LENGTH,
    "retries.backoff": "a number from 1 upwards",
    "retries.exit_codes": "a list of exit codes, 0 to 255",
    "retries.limit": "a number from 0 upwards",
    "retries": "a number, or {limit: 2, delay: 10s, backoff: 2, max_delay: 5m, exit_codes: [1, 75]}",
    "requeue": "true or false",
    "tags": "a list of key=value or key",
    "hold": "true or false",
    "gpus": f"a number of GPUs, or {GPUS}",
    "gpu_memory": SIZE,
    **schedule_keys.EXPECTED,
    **task_keys.EXPECTED,
}

_STAND_INS: Final = {
    "command": "x",
    "name": "x",
    "schedule": "'@hourly'",
    "at": "2030-01-01",
    "matrix": "{x: [0]}",
    "samples": "1",
    "after": "x",
    "needs": "x",
}


def parse(text: str, file: str, defaults: Defaults) -> Content:
    """Read the text of a task file; there is at least one task in it.

    Args:
        text: of the whole file.
        file: what errors call it.
        defaults: what the tasks get that they do not say.

    Raises:
        FileError: there are mistakes in it; all that can be told at once.
    """
    found = mistakes.read_all(text, file, functools.partial(_entry, defaults), _stand_in)
    if not found.made and not found.mistakes:
        raise FileError(file, 1, 1, "there is no task in it", "a task needs at least: command: …")
    requests = [(document, request) for document, request, schedule in found.made if schedule is None]
    schedules = [(document, schedule) for document, _, schedule in found.made if schedule is not None]
    if not found.concern("schedule", "at"):
        found.mistakes.extend(_mixed(requests, schedules))
    if not found.concern("name", "matrix", "needs"):
        together = requests or [(document, schedule.submission) for document, schedule in schedules]
        found.mistakes.extend(tasks_together.names_given_twice(together))
        found.mistakes.extend(tasks_together.unmet_needs(together))
        found.mistakes.extend(tasks_together.needs_at_other_times(schedules))
    found.raise_any()
    return Content(
        [request for _, request in requests],
        [schedule for _, schedule in schedules],
        [document for document, *_ in found.made],
    )


def _stand_in(at: documents.Path, keys: Collection[str]) -> str | None:
    """Return what stands in for a value that is wrong, where without it something else would seem wrong."""
    match at:
        case (str(key),):
            return None if {"schedule", "at"} <= {*keys, key} else _STAND_INS.get(key)
        case ("params" | "env" | "matrix", str(param)) if param not in ("include", "exclude"):
            return "0"
        case ("retries", "limit"):
            return "1"
        case ("isolate", "git"):
            return "true"
    return None


def _mixed(
    requests: Sequence[tuple[Document, Submission]], schedules: Sequence[tuple[Document, Schedule]]
) -> Iterator[FileError]:
    """Return what is wrong with the schedules of a file taken together, and with other tasks beside them."""
    if requests and schedules:
        hint = "put it into a file of its own, which is moved away once it is accepted; one with schedules stays"
        yield requests[0][0].error("this task has no schedule, but others in the file have", hint)
    names: set[str] = set()
    for document, schedule in schedules:
        if schedule.name in names:
            hint = "a schedule's name is its own: give each document a name"
            yield document.error(f"there already is a schedule {schedule.name} in this file", hint)
        names.add(schedule.name)


def _entry(defaults: Defaults, document: Document) -> tuple[Document, Submission, Schedule | None]:
    sweep_keys.check_places(document)
    empty_values.check(document)
    param_keys.check(document, _EXPECTED["params"])
    written = document.convert(schedule_keys.Keys, _EXPECTED, home=("working_dir",))
    wrong = functools.partial(_wrong, document)
    task = _task(document, written, defaults, wrong)
    if not task_keys.KEYS.isdisjoint(document.value):
        task = dependency_keys.with_them(document, written, task, wrong)
    request = Submission(task=task)
    if not task_keys.KEYS.isdisjoint(document.value):
        request = dependency_keys.request(document, written, task, wrong)
    schedule = schedule_keys.read(document, written, request, defaults.timezone, wrong)
    if schedule is not None:
        sweep_keys.check_group(document, schedule)
    names_in_tasks.check(document, request)
    return document, request, schedule


def _task(document: Document, written: schedule_keys.Keys, defaults: Defaults, wrong: schedule_keys.Wrong) -> Task:
    name = plain_text(written.name) if written.name is not None else defaults.name
    if name is None:
        raise document.error("'name' is missing", f"the file's own name cannot be one: {_NAME}", at=("name",))
    queue = plain_text(written.queue) if written.queue is not None else defaults.queue
    for key, value in (("name", name), ("queue", queue)):
        if value is not None and not is_name(value):
            raise wrong((key,), value)
    if written.priority not in ("high", "low"):
        raise wrong(("priority",), written.priority)
    shell = None if written.shell is None else plain_text(written.shell)
    if shell is not None and (not shell.startswith("/") or "\0" in shell):
        raise wrong(("shell",), shell)
    for key, mapping in (("params", written.params), ("env", written.env)):
        check_variables(document, (key,), mapping)
    timeout = schedule_keys.seconds(wrong, ("timeout",), written.timeout)
    return Task(
        name=name,
        command=_command(document, written.command, wrong),
        working_dir=_directory(document, written.working_dir, defaults),
        queue=queue,
        priority=Priority.of(str(written.priority)),
        params=written.params,
        base_env=defaults.env,
        env={key: plain_text(value) for key, value in written.env.items()},
        shell=shell,
        timeout=defaults.timeout if timeout is None else timeout or None,
        log_limit=_log_limit(wrong, written.log, defaults.log_limit),
        retries=_retries(wrong, written.retries, defaults.retries),
        requeue=written.requeue,
        tags=_tags(wrong, written.tags),
        hold=written.hold,
        **_gpus(document, written, wrong),
    )


def _gpus(document: Document, written: schedule_keys.Keys, wrong: schedule_keys.Wrong) -> dict[str, Any]:
    """Return what a task says of GPUs; one that only says how much memory it needs needs that on one of them."""
    memory = written.gpu_memory
    gpus: int | tuple[GpuId, ...] | None
    try:
        size = None if memory is None else parse_size(memory)
    except ValueError:
        raise wrong(("gpu_memory",), memory) from None
    try:
        gpus = check_ids(written.gpus) if isinstance(written.gpus, list) else written.gpus
    except ValueError:
        raise wrong(("gpus",), written.gpus) from None
    if isinstance(gpus, int) and not 0 <= gpus <= MAX_GPUS:
        raise wrong(("gpus",), gpus)
    if gpus == 0 and size:
        raise document.error("gpu_memory: gpus is 0", "leave one of them out", at=("gpu_memory",), key=True)
    if gpus is None and size:
        gpus = 1
    for variable in GPU_VARIABLES if gpus is not None else ():
        if variable in written.env:
            hint = "leave it out: aqueue sets it to the GPUs that the run is given"
            raise document.error(
                f"env.{variable} and gpus exclude each other", hint, at=("env", variable), key=True
            )
    return {"gpus": gpus, "gpu_memory": size or None}


def _wrong(document: Document, at: documents.Path, value: Any) -> FileError:
    key = ".".join(str(step) for step in at if isinstance(step, str))
    got = repr(value) if isinstance(value, str | list) else documents.describe(value)
    return document.error(f"{key}: expected {_EXPECTED[key]}, got {got}", at=at)


def _command(
    document: Document, command: Value | list[Value], wrong: schedule_keys.Wrong
) -> str | tuple[str, ...]:
    if not isinstance(command, list):
        if is_number(stands_for(command)):
            raise wrong(("command",), command)
        text = plain_text(command)
        if not text.strip():
            raise document.error("the command is empty", at=("command",))
        if "\0" in text:
            raise document.error("the command has a NUL character in it", at=("command",))
        return text
    arguments = tuple(plain_text(word) for word in command)
    if not arguments or not arguments[0]:
        raise document.error("the command is empty", at=("command",))
    if any("\0" in word for word in arguments):
        raise document.error("the command has a NUL character in it", at=("command",))
    return arguments


def check_variables(document: Document, at: documents.Path, mapping: dict[str, Value]) -> None:
    """Refuse what cannot be an environment variable; neither names nor values are shown, they may be secrets.

    Args:
        at: where in the document the mapping is.

    Raises:
        FileError: at the first of them.
    """
    what = ".".join(map(str, at))
    pattern = PARAM if at == ("params",) else VARIABLE
    for name, value in mapping.items():
        if not pattern.fullmatch(name):
            message, hint = "this cannot be the name of a variable", "use letters, digits and '_'"
        elif variable_of(name).startswith("AQUEUE_"):
            message, hint = "names that begin with AQUEUE_ are aqueue's own", "choose another name"
        elif "\0" in plain_text(value):
            message, hint = "a value cannot have a NUL character in it", "leave it out"
        else:
            continue
        raise document.error(f"{what}: {message}", hint, at=(*at, name), key=True)


def _directory(document: Document, written: Value, defaults: Defaults) -> str:
    if written is None:
        return defaults.working_dir
    text = plain_text(written)
    if not text:
        raise document.error(f"working_dir: expected {_EXPECTED['working_dir']}, got ''", at=("working_dir",))
    if "\0" in text:
        raise document.error("working_dir has a NUL character in it", "leave it out", at=("working_dir",))
    try:
        return str(Path(defaults.base) / Path(text).expanduser())
    except RuntimeError:
        raise document.error(
            "working_dir: there is no such user", "write the path out", at=("working_dir",)
        ) from None


def _log_limit(wrong: schedule_keys.Wrong, written: log_keys.Written | None, default: int | None) -> int | None:
    if written is None:
        return default
    try:
        return log_keys.parse(written)
    except ValueError:
        raise wrong(("log", "limit"), written.limit) from None


def _retries(wrong: schedule_keys.Wrong, written: int | WrittenRetries | None, default: Retries) -> Retries:
    if written is None:
        return default
    if isinstance(written, int):
        if written < 0:
            raise wrong(("retries",), written)
        return Retries(limit=written)
    if written.limit < 0:
        raise wrong(("retries", "limit"), written.limit)
    if not 1 <= written.backoff < float("inf"):
        raise wrong(("retries", "backoff"), written.backoff)
    for index, code in enumerate(written.exit_codes):
        if not 0 <= code <= 255:
            raise wrong(("retries", "exit_codes", index), code)
    return Retries(
        limit=written.limit,
        delay=schedule_keys.seconds(wrong, ("retries", "delay"), written.delay) or 0.0,
        backoff=written.backoff,
        max_delay=schedule_keys.seconds(wrong, ("retries", "max_delay"), written.max_delay),
        exit_codes=tuple(written.exit_codes),
    )


def _tags(wrong: schedule_keys.Wrong, written: Value | list[Value]) -> tuple[str, ...]:
    tags = [plain_text(tag) for tag in written] if isinstance(written, list) else plain_text(written)
    try:
        return parse_tags(tags) if isinstance(tags, str) else check_tags(tags)
    except ValueError:
        raise wrong(("tags",), tags) from None
