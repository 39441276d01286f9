"""Queueing: one command, or the tasks of files, with what is asked for besides."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aqueue.client import place
from aqueue.client.prospects import lacking, unserved
from aqueue.client.session import (
    Warn,
    changing,
    config_in_force,
    environment,
    keep_code,
    now,
    refuse_if_disabled,
)
from aqueue.client.unknown_names import unconfigured_queues
from aqueue.client.wishes import Wishes, command
from aqueue.errors import UsageError
from aqueue.folder.layout import Folder
from aqueue.formats import notify_words
from aqueue.model.config import Config
from aqueue.model.run import Trigger
from aqueue.model.submission import Accepted, Submission, run_ids
from aqueue.model.task import Task

if TYPE_CHECKING:
    from aqueue.client.params import Params


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
    folder: Folder, words: str | Sequence[str], wishes: Wishes, warn: Warn, params: "Params | None" = None
) -> Submitted:
    """Queue one run of a command; see `command`.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        UsageError: a param has several values.
        QueueError: queues are disabled.
    """
    if params is not None and params.axes:
        several = next(iter(params.axes))
        raise UsageError(f"{several} has several values, but `add` queues a single run", "use `enqueue`")
    config = config_in_force(folder, warn)
    refuse_if_disabled(config)
    request = command(config, words, wishes)
    if params is not None:
        request = params.applied_to(request, [request])
    return submit(folder, config, [[request]], warn)


def without_directory(request: Submission) -> str | None:
    """Return that the working directory of a task does not exist; None if it does, or earlier runs may make it."""
    task = request.task
    if request.after or request.needs or task.isolate or Path(task.working_dir).is_dir():
        return None
    return f"{task.name}: its working directory {task.working_dir} does not exist"


def ignores_our_gpus(task: Task) -> str | None:
    """Return the choice of GPUs that this environment has made and the run does not get; None if there is none."""
    chosen = environment().get("CUDA_VISIBLE_DEVICES")
    is_ours = chosen == environment().get("AQUEUE_GPUS")
    is_said = task.gpus is not None or "CUDA_VISIBLE_DEVICES" in task.base_env | task.env | task.params
    return None if is_ours or is_said else chosen
