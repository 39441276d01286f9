"""The settings of a server: command-line options over the configuration in force."""

from collections.abc import Callable, Mapping

import msgspec

from aqueue.intake.config_reload import ConfigReload
from aqueue.model.config import Config
from aqueue.model.gpu import GpuId, owned
from aqueue.model.server import OnStop, Server
from aqueue.policy.limits import Limits
from aqueue.server.service_manager import ServiceManager


def _nothing() -> None:
    pass


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the command line, which override the configuration.

    Attributes:
        jobs: None: as configured.
        idle_timeout: seconds; None: as configured.
        drain: exit as soon as no run is running or can start without a user.
        ignore_schedules: whether the idle timeout applies although there are schedules.
        on_stop: how the server obeys SIGTERM.
        queues: the only queues to serve; None: all.
        gpus: the only GPUs to use; None: all.
        log: the file of its messages; None if they go to its terminal.
        when_ready: is called once the server is ready.
        parent: the reading end of a pipe; the server leaves once nobody has the other end open. None: it does not.
        manager: the service manager that has started the server.
    """

    jobs: int | None = None
    idle_timeout: float | None = None
    drain: bool = False
    ignore_schedules: bool = False
    on_stop: OnStop = OnStop.DRAIN
    queues: tuple[str, ...] | None = None
    gpus: tuple[GpuId, ...] | None = None
    log: str | None = None
    when_ready: Callable[[], None] = _nothing
    parent: int | None = None
    manager: ServiceManager = msgspec.field(default_factory=ServiceManager)


class Settings:
    """The current settings of one server.

    Args:
        config_reload: holds the configuration in force.
        environment: may limit the server to some GPUs.
        max_runs: the number of runs that the limit on open files allows.
    """

    def __init__(
        self, options: Options, config_reload: ConfigReload, environment: Mapping[str, str], max_runs: int
    ) -> None:
        self.options = options
        self._config_reload = config_reload
        self._owns = owned(options.gpus, environment)
        self._max_runs = max_runs

    @property
    def config(self) -> Config:
        """Return the configuration in force."""
        return self._config_reload.config

    def limits(self, raised_to: int = 0) -> Limits:
        """Return the limits in force.

        Args:
            raised_to: the number of runs at a time requested since the server started.
        """
        config = self.config
        return Limits(
            jobs=max(self.options.jobs or config.jobs, raised_to),
            runs=self._max_runs,
            queues=config.queues,
            serves=self.options.queues,
            disabled_by=config.disabled_by,
            rules=config.gpus,
            owns=self._owns,
        )

    def idle_timeout(self, record: Server, *, has_schedules: bool) -> float | None:
        """Return the idle seconds after which the server leaves; None: never.

        Args:
            record: the server's record in the store.
        """
        if self.options.drain:
            return record.stays_for
        if has_schedules and not self.options.ignore_schedules:
            return None
        seconds = self.options.idle_timeout
        if seconds is None:
            seconds = self.config.idle_timeout
        return None if seconds is None else max(seconds, record.stays_for)
