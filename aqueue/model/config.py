"""The configuration: frozen records of queues, defaults, GPU rules and the rest."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from aqueue.model.basics import STALE_AFTER
from aqueue.model.gpu import GpuId
from aqueue.model.notification import Target
from aqueue.model.task import Retries


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults for keys that a task file omits.

    Attributes:
        name: the default name; None if a file must name its tasks.
        queue: None for the local queue.
        working_dir: an absolute path.
        base: the directory that a `working_dir` in the file is relative to.
        timeout: seconds.
        log_limit: bytes.
        timezone: the timezone of schedules, or `local`.
        targets: the names of the targets of messages; None if they are not known.
    """

    name: str | None
    working_dir: str
    base: str
    queue: str | None = None
    env: dict[str, str] = {}
    timeout: float | None = None
    retries: Retries = Retries()
    log_limit: int | None = None
    timezone: str = "local"
    targets: Collection[str] | None = None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A configured queue.

    Attributes:
        max_concurrency: the maximum number of its runs at a time.
        wait_for_running: whether its runs start only while no other run of the folder is running.
        paused: whether the configuration pauses it.
        gpus: the only GPUs its runs may use; None: all.
    """

    name: str
    max_concurrency: int = 1
    wait_for_running: bool = False
    paused: bool = False
    gpus: tuple[GpuId, ...] | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for allocating GPUs; `gpus:` in aqueue.yaml.

    Attributes:
        slots: the number of runs that may share a GPU.
        share_with_others: whether to use a GPU although other processes use it.
        ignore_memory: bytes in use on a GPU that count as none.
        by_uuid: whether commands get UUIDs instead of indices.
        devices: the only GPUs to use; None: all that are found.
    """

    slots: int = 1
    share_with_others: bool = False
    ignore_memory: int = 500 << 20
    by_uuid: bool = False
    devices: tuple[GpuId, ...] | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of a folder. All durations are in seconds.

    Attributes:
        jobs: the maximum number of runs at a time in unconfigured queues.
        idle_timeout: the time without queued or running runs after which a server exits; None: never.
        heartbeat_interval: the time between two heartbeats of a server.
        stale_after: the age at which a heartbeat is stale.
        grace: the time between SIGTERM and SIGKILL.
        env, timeout, retries, log_limit: defaults of tasks.
        keep: how long ended runs are kept.
        queues: the configured queues by name.
        disabled_by: the setting that disables all queues; None if none does.
        timezone: the default timezone of schedules, or `local`.
        gpus: the rules for allocating GPUs.
        notify: the targets of messages.
        warnings: problems that are not errors.
    """

    jobs: int = 1
    idle_timeout: float | None = None
    heartbeat_interval: float = 5.0
    stale_after: float = STALE_AFTER
    grace: float = 10.0
    env: dict[str, str] = {}
    timeout: float | None = None
    retries: Retries = Retries()
    log_limit: int | None = None
    keep: float = 30 * 86400.0
    queues: Mapping[str, Queue] = {}
    disabled_by: str | None = None
    timezone: str = "local"
    gpus: Rules = Rules()
    notify: tuple[Target, ...] = ()
    warnings: tuple[str, ...] = ()

    def defaults_of_commands(self) -> dict[str, Any]:
        """Return the fields of the task of a command that the configuration sets."""
        return {
            "base_env": self.env,
            "timeout": self.timeout,
            "retries": self.retries,
            "log_limit": self.log_limit,
        }

    def task_defaults(self, *, name: str | None, queue: str | None, working_dir: str, base: str) -> Defaults:
        """Return the defaults for keys a task file omits."""
        return Defaults(
            name=name,
            queue=queue,
            working_dir=working_dir,
            base=base,
            env=self.env,
            timeout=self.timeout,
            retries=self.retries,
            log_limit=self.log_limit,
            timezone=self.timezone,
            targets=tuple(target.name for target in self.notify),
        )
