"""The configuration: frozen records of queues, defaults, GPU rules and the rest."""

from collections.abc import Mapping

import msgspec

from aqueue.model.gpu import GpuId
from aqueue.model.task import Retries


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults for keys that a task file omits.

    Attributes:
        name: None where a file must name its tasks.
        queue: None for the local queue.
        working_dir: where it runs; an absolute path.
        base: what a `working_dir` in the file is relative to.
        timeout: seconds.
        log_limit: bytes.
        timezone: in which schedules are meant, or `local`.
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


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that somebody configured.

    Attributes:
        max_concurrency: how many of its runs may run at the same time.
        wait_for_running: whether it starts a run only while no other run of the folder is running.
        paused: whether the configuration keeps it from starting anything.
        gpus: the only GPUs that its runs get; None: all.
    """

    name: str
    max_concurrency: int = 1
    wait_for_running: bool = False
    paused: bool = False
    gpus: tuple[GpuId, ...] | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for allocating GPUs; `gpus:` in aqueue.yaml.

    Attributes:
        slots: how many runs may share a GPU.
        share_with_others: whether other people's processes on a GPU do not matter.
        ignore_memory: bytes in use on a GPU that do not matter.
        by_uuid: whether commands are told UUIDs rather than indices.
        devices: the only GPUs there are; None: all that are found.
    """

    slots: int = 1
    share_with_others: bool = False
    ignore_memory: int = 500 << 20
    by_uuid: bool = False
    devices: tuple[GpuId, ...] | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of a folder. All durations are in seconds.

    Attributes:
        jobs: runs at the same time in queues that nobody configured.
        idle_timeout: exit when nothing has been queued or running for so long; None: never.
        heartbeat_interval: between two signs of life of a server.
        stale_after: when a server without one is said to give none.
        grace: between SIGTERM and SIGKILL.
        env, timeout, retries, log_limit: what a task gets that does not say.
        keep: how long ended runs are remembered.
        queues: those that are configured, by their names.
        disabled_by: what says that nothing may be queued or started; None if nothing does.
        timezone: in which schedules are meant that do not say, or `local`.
        gpus: how GPUs are given away.
        warnings: what is no error, but should be changed.
    """

    jobs: int = 1
    idle_timeout: float | None = None
    heartbeat_interval: float = 5.0
    stale_after: float = 30.0
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
    warnings: tuple[str, ...] = ()

    def task_defaults(self, *, name: str | None, queue: str | None, working_dir: str, base: str) -> Defaults:
        """Return what a task gets that its file does not say; see `Defaults`."""
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
        )
