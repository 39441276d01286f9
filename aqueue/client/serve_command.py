"""The options of a server, and the command that starts it."""

import math
import sys
from typing import NamedTuple

from aqueue.folder.layout import Folder
from aqueue.model.gpu import GpuId


class Serving(NamedTuple):
    """The options of a server.

    Attributes:
        jobs: the most runs at a time; None: as configured, else 1.
        idle_timeout: exit after this many seconds without work; None: as configured, else 10; infinite: never.
        ignore_schedules: exit even if there are schedules.
        queues: the queues to serve; None: all.
        gpus: the GPUs to use; None: all.
        verbose: write more into the log.
    """

    jobs: int | None = None
    idle_timeout: float | None = None
    ignore_schedules: bool = False
    queues: tuple[str, ...] | None = None
    gpus: tuple[GpuId, ...] | None = None
    verbose: bool = False


def serve_command(folder: Folder, serving: Serving) -> list[str]:
    """Return the command that serves a folder."""
    # `-P` keeps the current directory off the search path, and works with every way to install aqueue.
    serve = (sys.executable, "-P", "-m", "aqueue", "serve")
    return [*serve, "--dir", str(folder.path.absolute()), *_options(serving)]


def _options(serving: Serving) -> list[str]:
    seconds = serving.idle_timeout
    options = []
    if seconds is not None:
        options += ["--idle-timeout", "never" if math.isinf(seconds) else f"{seconds:.3f}"]
    if serving.jobs is not None:
        options += ["--jobs", str(serving.jobs)]
    if serving.ignore_schedules:
        options.append("--ignore-schedules")
    if serving.gpus is not None:
        options += ["--gpus", ",".join(map(str, serving.gpus))]
    for queue in serving.queues or ():
        options += ["--queue", queue]
    return [*options, "--verbose"] if serving.verbose else options
