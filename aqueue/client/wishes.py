"""Wishes about a task, given beside its file or its command."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from aqueue.client import command_task, place
from aqueue.client.session import working_dir
from aqueue.errors import UsageError
from aqueue.formats import notify_words
from aqueue.model.config import Config
from aqueue.model.gpu import GPU_VARIABLES, GpuId
from aqueue.model.notification import Notify
from aqueue.model.submission import Submission
from aqueue.model.task import VARIABLE, Isolation, Priority, Task


class Wishes(TypedDict, total=False):
    """Wishes about a task, whatever its file says. One that is None, False or empty leaves it as it is.

    Attributes:
        name, queue, group: names; the queue of a task that names none is its own.
        priority: `high` or `low`.
        tags: more of them, each `key=value` or `key`.
        gpus: how many, or which; 0 hides all.
        gpu_memory: bytes that must be free on each of them.
        after: the runs, names and groups (`group:NAME`) that must have succeeded before it starts.
        after_any: start it however those have ended.
        isolate: run it in a checkout of the code as it is now.
        env: more environment variables.
        timeout: in seconds; 0: no limit.
        hold: hold it until it is released.
        working_dir: where it runs, relative to the current directory.
        retries: how often it is tried again.
        outputs: the paths to keep of what it writes, within its working directory.
        stdin: keep its standard input open for `aqueue send`.
        notify: whom to tell of its end: events, targets or `never`.
    """

    name: str | None
    queue: str | None
    priority: str | None
    tags: Sequence[str]
    gpus: int | tuple[GpuId, ...] | None
    gpu_memory: int | None
    after: Sequence[str]
    after_any: bool
    isolate: bool
    group: str | None
    notify: Sequence[str]
    env: Mapping[str, str]
    timeout: float | None
    hold: bool
    working_dir: str | None
    retries: int | None
    outputs: Sequence[str]
    stdin: bool


def command(config: Config, words: str | Sequence[str], wishes: Wishes) -> Submission:
    """Return what asks for one run of a command, by default in this directory, with the PATH of this environment.

    Args:
        words: a string for /bin/sh, or a program and its arguments.

    Raises:
        UsageError: some of it excludes the rest.
        FolderError: this directory is not there any more.
    """
    defaults, retries = config.defaults_of_commands(), wishes.get("retries")
    if retries is not None:
        defaults["retries"] = msgspec.structs.replace(config.retries, limit=retries)
    task = Task(
        **command_task.fields(
            words,
            name=wishes.get("name"),
            working_dir=str(working_dir()),
            env=place.carried(),
            queue=wishes.get("queue"),
        ),
        **defaults,
        outputs=_outputs(wishes),
        stdin="open" if wishes.get("stdin") else None,
    )
    return after_something(with_wishes(wishes)(Submission(task=task)))


def fields_of(wishes: Wishes) -> dict[str, Any]:
    """Return the fields of a task that are wished for, whatever the task is.

    Raises:
        UsageError: it is not valid whom to tell.
    """
    priority, timeout, directory = wishes.get("priority"), wishes.get("timeout"), wishes.get("working_dir")
    changes: dict[str, Any] = {
        "name": wishes.get("name"),
        "queue": wishes.get("queue"),
        "priority": Priority.of(priority) if priority else None,
        "hold": wishes.get("hold") or None,
        "working_dir": None if directory is None else os.path.normpath(working_dir() / directory),
        "isolate": Isolation() if wishes.get("isolate") else None,
        "group": wishes.get("group"),
        "notify": notify_of(wishes),
    }
    given = {field: value for field, value in changes.items() if value is not None}
    if timeout is not None:
        given["timeout"] = timeout or None
    return given


def with_wishes(wishes: Wishes) -> Callable[[Submission], Submission]:
    """Return a function that makes of what a file or a command asks for what is to be queued."""
    given = fields_of(wishes)
    _check_gpu_variables(wishes)

    def changed(request: Submission) -> Submission:
        tags = tuple(dict.fromkeys([*request.task.tags, *wishes.get("tags", ())]))
        env = {**request.task.env, **wishes.get("env", {})}
        gpus = gpus_of(wishes, request.task)
        task = msgspec.structs.replace(request.task, tags=tags, env=env, **given, **gpus)
        entries = tuple(dict.fromkeys([*request.after, *wishes.get("after", ())]))
        after_any = request.after_any or wishes.get("after_any", False)
        return msgspec.structs.replace(request, task=place.moved_out(task), after=entries, after_any=after_any)

    return changed


def after_something(request: Submission) -> Submission:
    """Refuse a request that is to come after whatever, and nothing is named.

    Raises:
        UsageError: it is.
    """
    if request.after_any and not request.after and not request.needs:
        raise UsageError("--after-any: there is no run to wait for", "name one: --after RUN")
    return request


def check_variable(name: str) -> None:
    """Refuse a variable that no task may be given.

    Raises:
        UsageError: it is one.
    """
    if not VARIABLE.fullmatch(name) or name.startswith("AQUEUE_"):
        raise UsageError(
            f"--env {name}: this variable cannot be set", "use letters, digits and '_', but not AQUEUE_…"
        )


def notify_of(wishes: Wishes) -> Notify | None:
    """Return whom to tell; None if nothing is wished.

    Raises:
        UsageError: it is not valid.
    """
    return notify_words.parse(words) if (words := wishes.get("notify", ())) else None


def gpus_of(wishes: Wishes, task: Task | None = None) -> dict[str, Any]:
    """Return what is wished of GPUs, over what the task says; memory alone is that of one GPU."""
    gpus, gpu_memory = wishes.get("gpus"), wishes.get("gpu_memory")
    if gpus is None:
        gpus = task.gpus if task is not None else None
    if gpu_memory is None:
        gpu_memory = task.gpu_memory if task is not None and gpus != 0 else None
    elif gpus is None:
        gpus = 1
    elif gpus == 0 and gpu_memory:
        raise UsageError("--gpu-memory: no GPUs are asked for", "leave it out, or ask for some: --gpus 1")
    return {"gpus": gpus, "gpu_memory": gpu_memory or None}


def _check_gpu_variables(wishes: Wishes) -> None:
    """Refuse variables that aqueue sets to the GPUs that are asked for."""
    for variable in GPU_VARIABLES if wishes.get("gpus") is not None or wishes.get("gpu_memory") else ():
        if variable in wishes.get("env", ()):
            raise UsageError(
                f"--env {variable} and --gpus cannot be used together", "aqueue sets it to the GPUs of the run"
            )


def _outputs(wishes: Wishes) -> tuple[str, ...]:
    """Return the outputs that are wished for, checked as those of a file are."""
    outputs = tuple(wishes.get("outputs", ()))
    if not outputs:
        return ()
    # Imported here: few commands need it.
    from aqueue.formats import given_tasks

    here = str(working_dir())
    return given_tasks.read(Task(name="task", command="true", working_dir=here, outputs=outputs), here).outputs
