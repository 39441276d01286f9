"""What a person should know whose run was just queued: nobody may be there to start it."""

from aqueue.client.session import awake_and_silent, config_or_default
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.task import Task
from aqueue.policy.gpu_supply import never
from aqueue.store.store import Store


def unserved(store: Store, where: Folder) -> str | None:
    """Return why a run will have to wait for a server; None if one is there."""
    awake, silent = awake_and_silent(store, where, config_or_default(where).stale_after)
    if silent and not awake:
        return f"server {silent[0].pid} gives no sign of life: it waits until one does"
    if not awake:
        return "no server is up: it waits until `aqueue serve` starts one"
    if all(server.leaving is not None for server in awake):
        return f"server {awake[0].pid} is leaving: it waits until `aqueue serve` starts another"
    return None


def lacking(store: Store, config: Config, task: Task) -> str | None:
    """Return why a task will not get the GPUs that it asks for, as far as a server has seen; None if it may."""
    look = store.gpus.reading() if task.demand else None
    if look is not None and task.demand is not None and (why := never(task.demand, look, config.gpus)):
        return f"{task.name} {why}"
    return None
