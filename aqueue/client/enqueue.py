"""Queueing the tasks of files, of a mapping, or a task."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from aqueue.client import known_params, named_files
from aqueue.client.params import Params
from aqueue.client.session import Warn, config_in_force, refuse_if_disabled, working_dir
from aqueue.client.submit import Submitted, submit
from aqueue.client.wishes import Wishes, after_something, with_wishes
from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder
from aqueue.model.run import Trigger
from aqueue.model.submission import Submission
from aqueue.model.task import Task


def enqueue(
    folder: Folder,
    source: Sequence[str] | Mapping[str, object] | Task,
    wishes: Wishes,
    given: Params,
    warn: Warn,
    *,
    trigger: Trigger = Trigger.MANUAL,
    run_id: str | None = None,
    default_dir: str = ".",
) -> Submitted:
    """Queue what a source asks for, all or nothing.

    Args:
        source: the paths of files, a mapping in the form of one, or a task.
        warn: is told of an error in the configuration, and of code that is kept in part.
        run_id: of the only run.
        default_dir: the working directory of tasks that have none.

    Raises:
        FileError: a file has an error.
        UsageError: the options or params do not fit.
        QueueError: queues are disabled.
    """
    config = config_in_force(folder, warn)
    refuse_if_disabled(config)
    doubts: list[str] = []
    with _all_or_none(source):
        if isinstance(source, Task):
            requests = [[_request(source, wishes, given, default_dir)]]
        elif isinstance(source, Mapping):
            requests, doubts = named_files.requests_of(config, source, wishes, given, working_dir=default_dir)
        else:
            requests, doubts = named_files.requests_in(
                folder, config, source, wishes, given, run_id=run_id, working_dir=default_dir
            )
        submitted = submit(folder, config, requests, warn, trigger=trigger, run_id=run_id)
    return submitted._replace(doubts=[*submitted.doubts, *doubts])


def _request(task: Task, wishes: Wishes, given: Params, default_dir: str) -> Submission:
    # Imported here: a task is given by programs only.
    from aqueue.formats import given_tasks

    here = working_dir()
    directory = here / default_dir if task.working_dir == "." else here
    request = Submission(task=given_tasks.read(task, str(directory)))
    request = after_something(with_wishes(wishes)(request))
    known_params.check(given, [request])
    return given.applied_to(request, [request])


@contextmanager
def _all_or_none(source: object) -> Iterator[None]:
    """Add to an error in one of several files that nothing was queued."""
    try:
        yield
    except AqueueError as error:
        if isinstance(source, Sequence) and len(source) > 1:
            error.message += "; nothing was queued"
        raise
