"""The reasons why runs wait, worded for the user, by the same rules that servers use to start them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from aqueue.client.session import Warn, awake_and_silent, config_or_default, now, present
from aqueue.executors import outside
from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import shortage_of
from aqueue.model.config import Config
from aqueue.model.gpu import GpuId, GpuRequest
from aqueue.model.run import Run, State
from aqueue.model.server import Server
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.gpu_placement import Allocator, Placed
from aqueue.policy.limits import Limits
from aqueue.policy.wait_reasons import waiting_for
from aqueue.store.queues import Counted
from aqueue.store.store import Store

Key = tuple[GpuRequest, tuple[GpuId, ...] | None]
"""The GPUs a run asks for, and those its queue may use. Runs with the same key wait for the same reason."""


def limits_of(config: Config) -> Limits:
    """Return the limits that all servers of a folder share."""
    return Limits(jobs=config.jobs, queues=config.queues, disabled_by=config.disabled_by, rules=config.gpus)


def waits(store: Store, folder: Folder, runs: Sequence[Run], warn: Warn) -> list[str | None]:
    """Return why each run has not started, or that it waits for input; None if nothing blocks it."""
    return Waits(store, folder, warn).of(runs)


class Waits:
    """The wait reasons of many runs, computed in slices within one transaction."""

    def __init__(self, store: Store, folder: Folder, warn: Warn) -> None:
        self._store = store
        self._folder = folder
        self._warn = warn
        self._counted: Counted = {}

    def of(self, runs: Sequence[Run]) -> list[str | None]:
        """Return why each run has not started, like `waits`."""
        if not any(run.state in (State.QUEUED, State.HELD) for run in runs):
            return [self._input(run) for run in runs]
        scene = self._scene
        lines = self._store.queues.lines(runs, scene.awake, scene.limits.queues, scene.silent, self._counted)
        found = [
            waiting_for(run, line, scene.limits, scene.moment, scene.shortages)
            for run, line in zip(runs, lines, strict=True)
        ]
        for index, run in enumerate(runs):
            found[index] = found[index] or self._input(run)
            if found[index] is None and _waits_for_gpus(run):
                boards = [self._boards[server.id] for server in scene.awake if server.serves(run.queue)]
                found[index] = _its_gpus(run, scene.limits, boards)
        return found

    def _input(self, run: Run) -> str | None:
        """Return that a running run waits for its input; None if it does not, or that is unknown."""
        if (
            run.state is not State.RUNNING
            or run.task.stdin is None
            or not outside.waits_for_input(run, self._folder)
        ):
            return None
        return f"waits for input: `aqueue send {run.id} TEXT`"

    @cached_property
    def _scene(self) -> "_Scene":
        config = config_or_default(self._folder, self._warn)
        awake, silent = awake_and_silent(self._store, self._folder, config.stale_after)
        shortages = {server.id: shortage_of(self._folder.servers, server.id) for server in awake}
        return _Scene(limits_of(config), awake, silent, present(self._store), shortages)

    @cached_property
    def _boards(self) -> dict[str, dict[Key, Placed | Blocked]]:
        scene = self._scene
        return {server.id: _shortages(self._store, server, scene.limits) for server in scene.awake}


class _Scene(NamedTuple):
    limits: Limits
    awake: Sequence[Server]
    silent: Sequence[Server]
    moment: float
    shortages: Mapping[str, str]


def can_end(store: Store, folder: Folder, ids: Sequence[int]) -> bool:
    """Return True if one of these runs, which have not ended, can start or end without the user.

    This assumes that a server may start later.
    """
    config = config_or_default(folder)
    awake, _ = awake_and_silent(store, folder, config.stale_after)
    return store.prospects.can_end(ids, awake, limits_of(config), present(store))


def board_of(store: Store, server: Server, limits: Limits) -> Allocator:
    """Return a server's latest view of the GPUs."""
    owned = Limits(queues=limits.queues, rules=limits.rules, owns=server.owns)
    return store.gpus.allocator(store.gpus.reading([server.id]), owned, now())


def _waits_for_gpus(run: Run) -> bool:
    return run.state is State.QUEUED and run.task.gpu_request is not None


def _shortages(store: Store, server: Server, limits: Limits) -> dict[Key, Placed | Blocked]:
    """Return the decisions that a server would make now for its runs that ask for GPUs."""
    its_limits = Limits(
        jobs=server.max_jobs, queues=limits.queues, serves=server.queues, rules=limits.rules, owns=server.owns
    )
    board = board_of(store, server, limits)
    return {
        (turn.asked, its_limits.confinement(turn.queue)): turn.found
        for turn in store.claims.preview(server.id, its_limits, board, now())
        if turn.asked is not None
    }


def _its_gpus(run: Run, limits: Limits, servers: Sequence[dict[Key, Placed | Blocked]]) -> str | None:
    gpu_request = run.task.gpu_request
    found = [
        board[key]
        for board in servers
        if gpu_request and (key := (gpu_request, limits.confinement(run.queue))) in board
    ]
    blocked = [one for one in found if isinstance(one, Blocked)]
    if len(blocked) < len(found) or not blocked:
        return None
    # A server that lacks such GPUs says less about what happens next.
    return min(blocked, key=lambda one: bool(one.lack)).reason
