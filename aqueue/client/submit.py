"""Queueing: one command, or the tasks of files, with what is asked for besides."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import msgspec

from aqueue.client import command_task, place
from aqueue.client.prospects import lacking, unserved
from aqueue.client.session import (
    Warn,
    changing,
    config_in_force,
    environment,
    keep_code,
    now,
    refuse_if_disabled,
    working_dir,
)
from aqueue.client.unknown_names import unconfigured_queues
from aqueue.errors import UsageError
from aqueue.folder.layout import Folder
from aqueue.formats import notify_words
from aqueue.model.config import Config
from aqueue.model.gpu import GPU_VARIABLES, GpuId
from aqueue.model.notification import Notify
from aqueue.model.run import Trigger
from aqueue.model.submission import Accepted, Submission, run_ids
from aqueue.model.task import VARIABLE, Isolation, Priority, Task

if TYPE_CHECKING:
    from aqueue.client.params import Params


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
    stdin: bool


class Submitted(NamedTuple):
    """The runs that were queued.

    Attributes:
        accepted: each submission with the ids of its runs.
        unserved: why they wait for a server; None if one is there.
        doubts: what a person may not have meant.
    """

    accepted: list[Accepted]
    unserved: str | None
    doubts: list[str]

    def tasks(self) -> list[Task]:
        """Return the tasks of the submissions."""
        return [one.submission.task for one in self.accepted]

    def all_ids(self) -> list[int]:
        """Return the ids of all runs, in their order."""
        return run_ids(self.accepted)


def submit(
    folder: Folder,
    config: Config,
    submissions: Sequence[Sequence[Submission]],
    warn: Warn,
    *,
    trigger: Trigger = Trigger.MANUAL,
    run_id: str | None = None,
) -> Submitted:
    """Queue the runs of all submissions, or none.

    Args:
        submissions: those of each file.
        warn: is told what a person may not have meant about the code that is kept for them.
        run_id: of the only run.

    Raises:
        RunError: one of them is to come after a run that is not known, or there is one with this run_id.
        UsageError: one of them is to notify a target that does not exist.
        SnapshotError, DiskFullError: some of their code cannot be kept.
    """
    together = [submission for of_file in submissions for submission in of_file]
    if run_id and any(submission.sweep for submission in together):
        raise UsageError("--run-id: a sweep has several runs", "leave it out: each gets one of its own")
    for one in together:
        if one.task.notify is not None:
            notify_words.check_names(one.task.notify, [target.name for target in config.notify])
    kept = iter(keep_code(folder, together, warn, place.origin_here()))
    with changing(folder) as store:
        doubts = [*unconfigured_queues(store, config, together)]
        accepted = [
            one
            for of_file in submissions
            for one in store.submissions.enqueue(
                [*islice(kept, len(of_file))], now(), trigger=trigger, run_id=run_id
            )
        ]
        lacks = [lacking(store, config, one.task) for one in together]
        doubts += [doubt for doubt in (*lacks, *map(without_directory, together)) if doubt is not None]
        return Submitted(accepted, unserved(store, folder), doubts)


def add(
    folder: Folder,
    words: str | Sequence[str],
    wishes: Wishes,
    warn: Warn,
    *,
    env: Mapping[str, str],
    timeout: float | None,
    hold: bool,
    params: "Params | None" = None,
) -> Submitted:
    """Queue one run of a command; see `command`.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        QueueError: queues are disabled.
    """
    config = config_in_force(folder, warn)
    refuse_if_disabled(config)
    request = command(config, words, wishes, env=env, timeout=timeout, hold=hold)
    if params is not None:
        request = params.applied_to(request, [request])
    return submit(folder, config, [[request]], warn)


def command(
    config: Config,
    words: str | Sequence[str],
    wishes: Wishes,
    *,
    env: Mapping[str, str],
    timeout: float | None,
    hold: bool,
) -> Submission:
    """Return what asks for one run of a command, in this directory and with the PATH of this environment.

    Args:
        words: a string for /bin/sh, or a program and its arguments.
        timeout: in seconds; 0: for ever; None: as configured.

    Raises:
        UsageError: some of it excludes the rest.
        FolderError: this directory is not there any more.
    """
    gpus = gpus_of(wishes)
    task = Task(
        **command_task.fields(
            words,
            name=wishes.get("name"),
            working_dir=str(working_dir()),
            env=place.carried() | {**env},
            queue=wishes.get("queue"),
        ),
        priority=Priority.of(wishes.get("priority") or "low"),
        base_env=config.env,
        timeout=config.timeout if timeout is None else timeout or None,
        retries=config.retries,
        log_limit=config.log_limit,
        tags=tuple(wishes.get("tags", ())),
        hold=hold,
        isolate=Isolation() if wishes.get("isolate") else None,
        stdin="open" if wishes.get("stdin") else None,
        group=wishes.get("group"),
        notify=notify_of(wishes),
        **gpus,
    )
    for variable in GPU_VARIABLES if wishes.get("gpus") is not None or wishes.get("gpu_memory") else ():
        if variable in env:
            raise UsageError(
                f"--env {variable} and --gpus cannot be used together", "aqueue sets it to the GPUs of the run"
            )
    after, after_any = tuple(wishes.get("after", ())), wishes.get("after_any", False)
    return after_something(Submission(task=place.moved_out(task), after=after, after_any=after_any))


def without_directory(request: Submission) -> str | None:
    """Return that the working directory of a task does not exist; None if it does, or earlier runs may make it."""
    task = request.task
    if request.after or request.needs or task.isolate or Path(task.working_dir).is_dir():
        return None
    return f"{task.name}: its working directory {task.working_dir} does not exist"


def with_wishes(wishes: Wishes) -> Callable[[Submission], Submission]:
    """Return a function that makes of what a file asks for what is to be queued."""
    priority = wishes.get("priority")
    changes = {
        "name": wishes.get("name"),
        "queue": wishes.get("queue"),
        "priority": Priority.of(priority) if priority else None,
        "isolate": Isolation() if wishes.get("isolate") else None,
        "group": wishes.get("group"),
        "notify": notify_of(wishes),
    }
    given = {field: value for field, value in changes.items() if value is not None}

    def changed(request: Submission) -> Submission:
        tags = tuple(dict.fromkeys([*request.task.tags, *wishes.get("tags", ())]))
        task = msgspec.structs.replace(request.task, tags=tags, **given, **gpus_of(wishes, request.task))
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


def ignores_our_gpus(task: Task) -> str | None:
    """Return the choice of GPUs that this environment has made and the run does not get; None if there is none."""
    chosen = environment().get("CUDA_VISIBLE_DEVICES")
    is_ours = chosen == environment().get("AQUEUE_GPUS")
    is_said = task.gpus is not None or "CUDA_VISIBLE_DEVICES" in task.base_env | task.env | task.params
    return None if is_ours or is_said else chosen


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
