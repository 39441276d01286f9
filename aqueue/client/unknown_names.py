"""Names of queues, tags and groups that nothing has: the errors, with the name that was probably meant."""

from collections.abc import Iterable, Iterator

from aqueue.client.session import config_or_default
from aqueue.errors import AqueueError, QueueError, RunError
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.submission import Submission
from aqueue.near_names import did_you_mean, near_name
from aqueue.store.store import Store


def check_names(
    store: Store, folder: Folder, *, group: str | None = None, queue: str | None = None, tag: str | None = None
) -> None:
    """Check that there are runs in this group, such a queue, and runs with this tag.

    Raises:
        QueueError: there is no such queue.
        RunError: there is no such group, or no run with this tag.
    """
    if group is not None and not store.runs.count(group=group):
        raise unknown_group(store, group)
    if queue is not None and (error := unknown_queue(store, config_or_default(folder), queue)):
        raise error
    if tag is not None and not store.runs.count(tag=tag):
        tags = store.runs.tags()
        known = [*dict.fromkeys([*tags, *(one.partition("=")[0] for one in tags)])]
        raise RunError(
            f"no run has the tag {tag}", did_you_mean(tag, known, "`aqueue show RUN` shows the tags of a run")
        )


def unknown_group(store: Store, group: str) -> RunError:
    """Return the error for a group without runs."""
    return RunError(
        f"there is no group {group}", did_you_mean(group, store.runs.groups(), "`aqueue ls` lists the runs")
    )


def unknown_queue(store: Store, config: Config, queue: str) -> AqueueError | None:
    """Return the error for a queue that is not configured, and that no run is or was in; None if it is known."""
    known = known_queues(store, config)
    if queue in known or store.runs.ids(queue=queue, limit=1):
        return None
    return QueueError(f"there is no queue {queue}", did_you_mean(queue, known, "`aqueue status` lists the queues"))


def doubts_of(store: Store, folder: Folder, queue: str | None, tag: str | None) -> list[str]:
    """Return what a person may have misspelt who finds no runs in a queue or with a tag."""
    try:
        check_names(store, folder, queue=queue, tag=tag)
    except AqueueError as error:
        return [f"{error.message}; {error.hint}"]
    return []


def unconfigured_queues(store: Store, config: Config, submissions: Iterable[Submission]) -> Iterator[str]:
    """Yield a doubt for each queue that is new, where others are configured."""
    if not config.queues:
        return
    known = known_queues(store, config)
    for queue in dict.fromkeys(one.task.queue for one in submissions):
        if queue is not None and queue not in known:
            near = near_name(queue, known)
            meant = f"did you mean {near}?" if near else "its runs start one at a time"
            yield f"queue {queue} is not configured in aqueue.yaml: {meant}"


def known_queues(store: Store, config: Config) -> set[str]:
    """Return the queues that are configured or paused, or that runs or schedules are or lately were in."""
    of_schedules = {stored.schedule.task.queue or stored.name for stored in store.schedules.all()}
    counted = {name for name, _ in store.queues.counts()}
    return {*config.queues, *store.queues.paused(), *of_schedules, *counted, *store.queues.recent()}
