"""Notes for a person whose run waits, or goes on: nobody may be there to start it, or to see its end."""

from collections.abc import Collection

from aqueue.client import signs_of_life
from aqueue.client.session import awake_and_silent, config_or_default
from aqueue.folder.layout import Folder
from aqueue.model.basics import NO_SERVER
from aqueue.model.config import Config
from aqueue.model.run import State
from aqueue.model.task import Task
from aqueue.policy.gpu_supply import never
from aqueue.store.store import Store


def unserved(store: Store, where: Folder) -> str | None:
    """Return why a run will have to wait for a server; None if one is there."""
    return signs_of_life.unserved(*awake_and_silent(store, where, config_or_default(where).stale_after))


def unseen(store: Store, where: Folder) -> str | None:
    """Return why nobody would see the end of what is running; None if a server does."""
    awake, silent = awake_and_silent(store, where, config_or_default(where).stale_after)
    if awake:
        return None
    if silent:
        return f"server {silent[0].pid} is not responding: its end is recorded once a server responds"
    return f"{NO_SERVER}: its end is recorded once you run `aqueue serve`"


def unattended(store: Store, where: Folder, ids: Collection[int]) -> str | None:
    """Return why nobody starts runs that are not over, or, where all of them run, sees their end."""
    runs = filter(None, map(store.runs.get, ids))
    return (unseen if all(run.state is State.RUNNING for run in runs) else unserved)(store, where)


def lacking(store: Store, config: Config, task: Task) -> str | None:
    """Return why a task will not get the GPUs that it asks for, as far as a server has seen; None if it may."""
    look = store.gpus.reading() if task.gpu_request else None
    if look is not None and task.gpu_request is not None and (why := never(task.gpu_request, look, config.gpus)):
        return f"{task.name} {why}"
    return None
