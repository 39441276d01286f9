"""The progress of runs, their probable ends, and the probable starts of those in line."""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property, partial
from typing import Final, NamedTuple

from aqueue.client.session import awake_and_silent, config_or_default, now, present
from aqueue.client.wait_reasons import limits_of
from aqueue.executors.output_tail import read_tail
from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import shortage_of
from aqueue.model.config import Config
from aqueue.model.gpu import Gpu, GpuRequest, resolved, within
from aqueue.model.progress import Progress
from aqueue.model.run import ENDED, Run, State
from aqueue.model.server import Server
from aqueue.policy.durations import Durations
from aqueue.policy.forecast import Going, GpuChoice, Room, Times, Waiting, forecast
from aqueue.policy.gpu_supply import known_gpus, large_enough
from aqueue.store.forecasts import InLine
from aqueue.store.store import Store

_MAX_RUNNING: Final = 200
"""The number of running runs up to which starts are foretold: the output of each is looked at."""

_MAX_GROUPS: Final = 10
"""The number of groups that are looked at: the states of all their runs are read."""


class Forecast(NamedTuple):
    """The forecast for a run.

    Attributes:
        progress: None if it is not running, or nothing is known.
        starts_in: the seconds after which it probably starts; None if it is not queued, or that is unknown.
    """

    progress: Progress | None = None
    starts_in: float | None = None


class GroupProgress(NamedTuple):
    """The progress of a group.

    Attributes:
        left: the seconds until the last of its runs probably ends; None if unknown.
    """

    name: str
    states: Counter[State]
    left: float | None

    @property
    def ended(self) -> int:
        """Return how many of its runs are over."""
        return sum(self.states[state] for state in ENDED)


class Forecasts:
    """The forecasts for runs as they are within one transaction; what they need is read when it is needed."""

    def __init__(self, store: Store, folder: Folder) -> None:
        self._store = store
        self._folder = folder
        self._read: dict[int, Progress] = {}

    def of(self, run: Run) -> Forecast:
        """Return the forecast for a run."""
        return Forecast(self.progress(run), self.starts_in(run))

    def progress(self, run: Run) -> Progress | None:
        """Return the progress of a run; None if it is not running, or nothing is known."""
        if run.state is not State.RUNNING:
            return None
        if run.id not in self._read:
            self._read[run.id] = self._progress(run)
        found = self._read[run.id]
        return found if found != Progress() else None

    def starts_in(self, run: Run) -> float | None:
        """Return the seconds after which a queued run probably starts; None if that is unknown, or now."""
        if run.state is not State.QUEUED or run.ready_at is not None or run.id not in self._times:
            return None
        return self._times[run.id].start or None

    def group(self, name: str) -> GroupProgress | None:
        """Return the progress of a group; None if it is too large to look at."""
        states = self._store.forecasts.states_of(name)
        if states is None:
            return None
        going = [run.id for run in self._running if run.task.group == name]
        waiting = [run.id for run in self._in_line if run.group == name]
        # Runs that are held or wait for others have no known place.
        is_all = len(going + waiting) == states.total() - sum(states[state] for state in ENDED)
        return GroupProgress(name, states, self.left(going + waiting) if is_all else None)

    def left(self, ids: Collection[int]) -> float | None:
        """Return the seconds until the last of some runs probably ends; None if that is unknown."""
        last = max((self._times[id_].end if id_ in self._times else math.inf for id_ in ids), default=math.inf)
        return last if math.isfinite(last) else None

    def groups(self) -> list[GroupProgress]:
        """Return the progress of a few groups, of runs that run or are the first in line."""
        names = [run.task.group for run in self._running] + [run.group for run in self._in_line]
        few = [*dict.fromkeys(name for name in names if name is not None)][:_MAX_GROUPS]
        return [group for group in map(self.group, few) if group is not None]

    def part_of(self, ids: Collection[int]) -> float:
        """Return the sum of the fractions that those of these runs that are running have done."""
        running = [self.progress(run) for run in self._running if run.id in ids]
        return sum(one.report.fraction for one in running if one is not None and one.report is not None)

    def running(self) -> list[tuple[Run, Progress]]:
        """Return the runs that are running, with their progress, as far as it is known."""
        found = [(run, self.progress(run)) for run in self._running[:_MAX_RUNNING]]
        return [(run, progress) for run, progress in found if progress is not None]

    def _progress(self, run: Run) -> Progress:
        # Imported here, as it takes a while: often nothing is running.
        from aqueue.policy import progress

        usual = self._durations.usual(run.name, run.task.group, run.queue)
        started = run.started_at or self._moment
        elapsed = self._moment - started
        by_history = usual - elapsed if usual is not None and usual > elapsed else None
        tail = read_tail(self._folder.log(run.id, run.attempt), progress.TAIL)
        report = progress.find(tail.content, _pattern_of(run), is_whole=tail.is_whole)
        if report is None or tail.written_at is None:
            return Progress(left=by_history, usual=usual)
        # The clock of the store may be another than that of the files.
        silent = max(now() - tail.written_at, 0.0)
        return Progress(report=report, left=progress.seconds_left(report, elapsed - silent, silent))

    @cached_property
    def _moment(self) -> float:
        return present(self._store)

    @cached_property
    def _config(self) -> Config:
        return config_or_default(self._folder)

    @cached_property
    def _durations(self) -> Durations:
        return Durations(self._store.forecasts.successes())

    @cached_property
    def _running(self) -> list[Run]:
        return self._store.runs.in_state(State.RUNNING)

    @cached_property
    def _in_line(self) -> list[InLine]:
        return self._store.forecasts.in_line()

    @cached_property
    def _times(self) -> dict[int, Times]:
        """Return the times of the runs that run, and of those in line that a server will start by itself."""
        servers = [
            server
            for server in awake_and_silent(self._store, self._folder, self._config.stale_after)[0]
            if server.leaving is None
            and not server.disabled_by
            and not shortage_of(self._folder.servers, server.id)
        ]
        if len(self._running) > _MAX_RUNNING:
            return {}
        going = [
            Going(id=run.id, queue=run.queue, seconds=self._left(run), gpus=tuple(gpu.key for gpu in run.gpus))
            for run in self._running
        ]
        return forecast(going, self._startable(servers), self._room(servers))

    def _left(self, run: Run) -> float | None:
        found = self.progress(run)
        return found.left if found else None

    def _startable(self, servers: Sequence[Server]) -> list[Waiting]:
        if not servers:
            return []
        paused = self._store.queues.paused()
        choose = partial(_choice, config=self._config, gpus=self._gpus_of(servers))
        return [
            Waiting(
                id=run.id,
                queue=run.queue,
                seconds=self._durations.usual(run.name, run.group, run.queue),
                gpus=choose(run.queue, run.gpu_request) if run.gpu_request else None,
            )
            for run in self._in_line
            if run.queue not in paused and any(server.serves(run.queue) for server in servers)
        ]

    def _room(self, servers: Sequence[Server]) -> Room:
        limits = limits_of(self._config)
        queues = {
            name: 0 if queue.paused or queue.wait_for_running else limits.slots(name)
            for name, queue in limits.queues.items()
        }
        jobs = sum(server.max_jobs for server in servers)
        return Room(queues=queues, jobs=jobs, gpu_slots=self._config.gpus.slots)

    def _gpus_of(self, servers: Sequence[Server]) -> list[Gpu]:
        """Return the GPUs that runs are given as soon as other runs of aqueue free them."""
        rules = self._config.gpus
        if len({server.owns for server in servers}) > 1:
            return []
        reading = self._store.gpus.reading([server.id for server in servers])
        found = known_gpus(reading, rules)
        for server in servers[:1]:
            for ids in server.owns:
                found = within(found, ids)
        return [gpu for gpu in found if gpu.error is None and (rules.share_with_others or not _is_foreign(gpu))]


def _choice(queue: str, request: GpuRequest, *, config: Config, gpus: Sequence[Gpu]) -> GpuChoice:
    """Return the GPUs that satisfy a request; none if nothing is known about when they do."""
    allowed = within(gpus, limits_of(config).confinement(queue))
    if request.ids:
        allowed, _ = resolved(allowed, request.ids)
    if request.memory is not None:
        # Of a GPU that several runs share, nobody knows how much is free when one of them ends.
        allowed = [] if config.gpus.slots > 1 else large_enough(allowed, request)
    return GpuChoice(request.count, tuple(gpu.key for gpu in allowed))


def _is_foreign(gpu: Gpu) -> bool:
    return any(process.run is None for process in gpu.processes or ())


def _pattern_of(run: Run) -> re.Pattern[str] | None:
    if run.task.progress is None:
        return None
    # Imported here: few tasks have one.
    from aqueue.policy import progress_pattern

    try:
        return progress_pattern.compiled(run.task.progress)
    except ValueError:
        return None
