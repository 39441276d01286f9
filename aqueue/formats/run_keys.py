"""The keys of a task file for the command and its limits → a task."""

from pathlib import Path
from typing import Any

from aqueue.formats import log_keys, notify_keys
from aqueue.formats.isolation_keys import isolation, outputs
from aqueue.formats.task_keys import NAME, Keys, WrittenRetries, seconds, wrong
from aqueue.formats.variable_keys import check_variables
from aqueue.formats.yaml_document import Document
from aqueue.model.basics import check_tags, is_name, parse_tags
from aqueue.model.config import Defaults
from aqueue.model.gpu import GPU_VARIABLES, GpuId, check_ids
from aqueue.model.task import Priority, Retries, Task
from aqueue.model.values import Value, is_number, plain_text, stands_for
from aqueue.policy import progress_pattern
from aqueue.units import parse_size


def task(document: Document, written: Keys, defaults: Defaults) -> Task:
    """Return the task without its sweep, dependencies and schedule.

    Raises:
        FileError: at the first error.
    """
    name = plain_text(written.name) if written.name is not None else defaults.name
    if name is None:
        raise document.error("'name' is missing", f"the file name is not a valid one: {NAME}", at=("name",))
    queue = plain_text(written.queue) if written.queue is not None else defaults.queue
    for key, value in (("name", name), ("queue", queue)):
        if value is not None and not is_name(value):
            raise wrong(document, (key,), value)
    shell = None if written.shell is None else plain_text(written.shell)
    if shell is not None and (not shell.startswith("/") or "\0" in shell):
        raise wrong(document, ("shell",), shell)
    for key, mapping in (("params", written.params), ("env", written.env)):
        check_variables(document, (key,), mapping)
    timeout = seconds(document, ("timeout",), written.timeout)
    return Task(
        name=name,
        command=_command(document, written.command),
        working_dir=_directory(document, written.working_dir, defaults),
        queue=queue,
        priority=Priority.of(written.priority),
        params=written.params,
        base_env=defaults.env,
        env={key: plain_text(value) for key, value in written.env.items()},
        shell=shell,
        timeout=defaults.timeout if timeout is None else timeout or None,
        log_limit=_log_limit(document, written.log, defaults.log_limit),
        retries=_retries(document, written.retries, defaults.retries),
        requeue=written.requeue,
        tags=_tags(document, written.tags),
        hold=written.hold,
        **_gpus(document, written),
        group=_group(document, written.group),
        isolate=isolation(document, written),
        outputs=outputs(document, written),
        stdin=written.stdin,
        progress=_progress(document, written.progress),
        notify=notify_keys.notify(document, written.notify, defaults.targets),
    )


def _gpus(document: Document, written: Keys) -> dict[str, Any]:
    """Return the GPU fields of a task. With only `gpu_memory`, it needs one GPU."""
    memory = written.gpu_memory
    gpus: int | tuple[GpuId, ...] | None
    try:
        size = None if memory is None else parse_size(memory)
    except ValueError:
        raise wrong(document, ("gpu_memory",), memory) from None
    try:
        gpus = check_ids(written.gpus) if isinstance(written.gpus, list) else written.gpus
    except ValueError:
        raise wrong(document, ("gpus",), written.gpus) from None
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


def _command(document: Document, command: Value | list[Value]) -> str | tuple[str, ...]:
    if not isinstance(command, list):
        if is_number(stands_for(command)):
            raise wrong(document, ("command",), command)
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


def _directory(document: Document, written: Value, defaults: Defaults) -> str:
    if written is None:
        return defaults.working_dir
    text = plain_text(written)
    if not text:
        raise wrong(document, ("working_dir",), text)
    if "\0" in text:
        raise document.error("working_dir has a NUL character in it", "leave it out", at=("working_dir",))
    try:
        return str(Path(defaults.base) / Path(text).expanduser())
    except RuntimeError:
        raise document.error("working_dir: no such user", "write the path out", at=("working_dir",)) from None


def _log_limit(document: Document, written: log_keys.WrittenLog | None, default: int | None) -> int | None:
    if written is None:
        return default
    try:
        return log_keys.parse(written)
    except ValueError:
        raise wrong(document, ("log", "limit"), written.limit) from None


def _retries(document: Document, written: int | WrittenRetries | None, default: Retries) -> Retries:
    if written is None:
        return default
    if isinstance(written, int):
        return Retries(limit=written)
    return Retries(
        limit=written.limit,
        delay=seconds(document, ("retries", "delay"), written.delay) or 0.0,
        backoff=written.backoff,
        max_delay=seconds(document, ("retries", "max_delay"), written.max_delay),
        exit_codes=tuple(written.exit_codes),
    )


def _tags(document: Document, written: Value | list[Value]) -> tuple[str, ...]:
    tags = [plain_text(tag) for tag in written] if isinstance(written, list) else plain_text(written)
    try:
        return parse_tags(tags) if isinstance(tags, str) else check_tags(tags)
    except ValueError:
        raise wrong(document, ("tags",), tags) from None


def _group(document: Document, written: Value) -> str | None:
    if written is None:
        return None
    name = plain_text(written)
    if not is_name(name):
        raise wrong(document, ("group",), name)
    return name


def _progress(document: Document, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        progress_pattern.compiled(pattern)
    except ValueError as error:
        hint = r"write it such as 'epoch (\d+)/(\d+)'"
        raise document.error(f"progress: {error}", hint, at=("progress",)) from None
    return pattern
