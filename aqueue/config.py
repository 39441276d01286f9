"""The configuration, as one frozen record."""

from collections.abc import Mapping

import msgspec

from aqueue.models import Defaults, Queue, Retries
from aqueue.placement import Rules


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How a folder is served. All lengths of time are seconds.

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
        """What a task gets that its file does not say; see `Defaults`."""
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
