"""The status of a folder: servers, queues, GPUs, schedules, and files that are not taken."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from aqueue.client import views
from aqueue.client.gpu_views import stored_gpus_as_json
from aqueue.client.session import Warn, config_or_default, living_servers, present, reading
from aqueue.client.untaken import Untaken, untaken
from aqueue.client.wait_reasons import limits_of
from aqueue.folder import rejected, server_locks
from aqueue.folder.layout import Folder
from aqueue.folder.rejected import RejectedFile
from aqueue.model.config import Config
from aqueue.model.run import Run, State
from aqueue.model.schedule import StoredSchedule
from aqueue.model.server import Server


class Status(NamedTuple):
    """The status of a folder at one moment.

    Attributes:
        moment: by the clock that the store goes by.
        servers: that are up, each with why it starts nothing; empty if it does.
        queues, gpus, schedules_as_json: as `status --json` has them.
        gpus_seen_at: when a server looked at them; 0.0 if none has.
        not_taken: files that no server takes.
        rejected: how many files were, and the newest of them.
        left_behind: runs that no server sees through, each with its reason.
    """

    moment: float
    config: Config
    servers: list[tuple[Server, str]]
    queues: list[dict[str, Any]]
    gpus: list[dict[str, Any]]
    gpus_seen_at: float
    schedules: list[StoredSchedule]
    schedules_as_json: list[dict[str, Any]]
    not_taken: list[Untaken]
    rejected: tuple[int, RejectedFile | None]
    left_behind: list[Run]

    def as_json(self) -> dict[str, Any]:
        """Return what `status --json` prints."""
        count, newest = self.rejected
        return {
            "servers": [_server_as_json(server, hindrance) for server, hindrance in self.servers],
            "queues": self.queues,
            "gpus": self.gpus,
            "schedules": self.schedules_as_json,
            "not_taken": [{"file": one.file, "reason": one.reason} for one in self.not_taken],
            "rejected": {"count": count, "newest": newest and {"file": newest.file, "reason": newest.reason}},
        }


def take_status(folder: Folder, warn: Warn, *, with_schedules: bool = True) -> Status:
    """Return how things are.

    Args:
        warn: is told of an error in the configuration.
        with_schedules: also as JSON; what cron means takes a while to import.
    """
    config = config_or_default(folder, warn)
    with reading(folder) as store:
        moment = present(store)
        servers = living_servers(store, folder)
        queues = dict(store.queues.counts())
        paused = store.queues.paused()
        schedules = store.schedules.all()
        gpus, seen_at = stored_gpus_as_json(store, config)
        left = untaken(store, folder, config)
        left_behind = store.servers.left_behind()
        schedules_as_json: list[dict[str, Any]] = []
        if with_schedules and schedules:
            from aqueue.client.schedule_views import all_as_json

            schedules_as_json = all_as_json(store)
    return Status(
        moment,
        config,
        [(server, server_locks.shortage_of(folder.servers, server.id)) for server in servers],
        _queues_as_json(config, queues, paused),
        gpus,
        seen_at,
        schedules,
        schedules_as_json,
        left,
        rejected.newest(folder),
        left_behind,
    )


def _queues_as_json(
    config: Config, queues: Mapping[str, Counter[State]], paused: Collection[str]
) -> list[dict[str, Any]]:
    counts: dict[str, Counter[State]] = {name: Counter() for name in (*config.queues, *paused)}
    counts.update(queues)
    limits = limits_of(config)
    return [
        {
            "name": name,
            "max_concurrency": limits.slots(name),
            "running": counts[name][State.RUNNING],
            "queued": counts[name][State.QUEUED],
            "held": counts[name][State.HELD],
            "paused": name in paused or (name in config.queues and config.queues[name].paused),
            "configured": name in config.queues,
        }
        for name in sorted(counts, key=lambda name: (name not in config.queues, name))
    ]


def _server_as_json(server: Server, hindrance: str) -> dict[str, Any]:
    return {
        "id": server.id,
        "pid": server.pid,
        "jobs": server.max_jobs,
        "started_at": views.iso(server.started_at),
        "heartbeat_at": views.iso(server.heartbeat_at),
        "queues": server.queues,
        "gpus": server.owns[0] if server.owns else None,
        "leaving": server.leaving,
        "disabled_by": server.disabled_by,
        "hindered_by": hindrance or None,
        "log": server.log,
    }
