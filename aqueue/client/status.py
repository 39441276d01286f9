"""The status of a folder: servers, queues, GPUs, schedules, and files that are not taken."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from aqueue.client.forecasts import Forecasts, GroupProgress
from aqueue.client.gpus import GpuUse, stored_gpus
from aqueue.client.schedules import ScheduleState, all_schedules
from aqueue.client.session import Warn, config_or_default, living_servers, present, reading
from aqueue.client.since import midnight
from aqueue.client.untaken import Untaken, untaken
from aqueue.client.wait_reasons import limits_of
from aqueue.folder import rejected, server_locks
from aqueue.folder.layout import Folder
from aqueue.folder.rejected import RejectedFile
from aqueue.model.config import Config
from aqueue.model.progress import Progress
from aqueue.model.run import Run, State
from aqueue.model.server import Server


class QueueState(NamedTuple):
    """A queue, how many runs it may start at a time, and how many it has in each state."""

    name: str
    max_concurrency: int
    running: int
    queued: int
    held: int
    paused: bool
    configured: bool


class Status(NamedTuple):
    """The status of a folder at one moment.

    Attributes:
        moment: by the clock that the store goes by.
        servers: that are up, each with why it starts nothing; empty if it does.
        gpus_seen_at: when a server looked at them; 0.0 if none has.
        not_taken: files that no server takes.
        rejected: how many files were, and the newest of them.
        left_behind: runs that no server sees through, each with its reason.
        ended_today: how many runs have ended in each state since midnight.
        running: the runs that are running and of which the progress is known.
        groups: a few groups with runs that run or wait.
    """

    moment: float
    config: Config
    servers: list[tuple[Server, str]]
    queues: list[QueueState]
    gpus: list[GpuUse]
    gpus_seen_at: float
    schedules: list[ScheduleState]
    not_taken: list[Untaken]
    rejected: tuple[int, RejectedFile | None]
    left_behind: list[Run]
    ended_today: Mapping[State, int]
    running: list[tuple[Run, Progress]]
    groups: list[GroupProgress]


def take_status(folder: Folder, warn: Warn) -> Status:
    """Return how things are.

    Args:
        warn: is told of an error in the configuration.
    """
    config = config_or_default(folder, warn)
    with reading(folder) as store:
        moment = present(store)
        servers = living_servers(store, folder)
        queues = dict(store.queues.counts())
        paused = store.queues.paused()
        schedules = all_schedules(store)
        gpus, seen_at = stored_gpus(store, config)
        left = untaken(store, folder, config)
        left_behind = store.servers.left_behind()
        ended_today = store.runs.ended_since(midnight(datetime.now()))
        forecasts = Forecasts(store, folder)
        running, groups = forecasts.running(), forecasts.groups()
    return Status(
        moment,
        config,
        [(server, server_locks.shortage_of(folder.servers, server.id)) for server in servers],
        _queues(config, queues, paused),
        gpus,
        seen_at,
        schedules,
        left,
        rejected.newest(folder),
        left_behind,
        ended_today,
        running,
        groups,
    )


def _queues(config: Config, queues: Mapping[str, Counter[State]], paused: Collection[str]) -> list[QueueState]:
    counts: dict[str, Counter[State]] = {name: Counter() for name in (*config.queues, *paused)}
    counts.update(queues)
    limits = limits_of(config)
    return [
        QueueState(
            name=name,
            max_concurrency=limits.slots(name),
            running=counts[name][State.RUNNING],
            queued=counts[name][State.QUEUED],
            held=counts[name][State.HELD],
            paused=name in paused or (name in config.queues and config.queues[name].paused),
            configured=name in config.queues,
        )
        for name in sorted(counts, key=lambda name: (name not in config.queues, name))
    ]
