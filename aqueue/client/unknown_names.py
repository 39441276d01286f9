"""Names of queues, tags and groups that nothing has: the errors, with the name that was probably meant."""

import re
from collections.abc import Iterable

from aqueue.client.session import config_or_default
from aqueue.errors import AqueueError, QueueError, RunError
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
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
        raise RunError(f"no run has the tag {tag}", _hint(tag, known, "`aqueue show RUN` shows the tags of a run"))


def unknown_group(store: Store, group: str) -> RunError:
    """Return the error for a group without runs."""
    return RunError(f"there is no group {group}", _hint(group, store.runs.groups(), "`aqueue ls` lists the runs"))


def unknown_queue(store: Store, config: Config, queue: str) -> AqueueError | None:
    """Return the error for a queue that is not configured, and that no run is or was in; None if it is known."""
    known = known_queues(store, config)
    if queue in known or store.runs.ids(queue=queue, limit=1):
        return None
    return QueueError(f"there is no queue {queue}", _hint(queue, known, "`aqueue status` lists the queues"))


def known_queues(store: Store, config: Config) -> set[str]:
    """Return the queues that are configured or paused, or that runs or schedules are or lately were in."""
    of_schedules = {stored.schedule.task.queue or stored.name for stored in store.schedules.all()}
    counted = {name for name, _ in store.queues.counts()}
    return {*config.queues, *store.queues.paused(), *of_schedules, *counted, *store.queues.recent()}


def near_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant; empty if there is none.

    >>> near_name("gpuu", ["gpu", "cpu"]), near_name("gpu1", ["gpu0"]), near_name("night", ["gpu"])
    ('gpu', '', '')
    """
    # Imported here: only a mistake needs it.
    from aqueue.formats.placeholders import nearest

    # Names that differ in a number alone are siblings.
    return nearest(name, sorted(one for one in known if _without_digits(one) != _without_digits(name)))


def _hint(name: str, known: Iterable[str], otherwise: str) -> str:
    near = near_name(name, known)
    return f"did you mean {near}?" if near else otherwise


def _without_digits(name: str) -> str:
    return re.sub(r"[0-9]+", "", name)
