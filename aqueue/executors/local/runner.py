"""The life of one attempt: start or adopt it, wait, stop it if necessary, and return its outcome."""

import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

import anyio
import msgspec

from aqueue.clock import Clock
from aqueue.executors import attempt_files, attempt_input, command
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import adoption, attempt_locks, log_keeping, process, procfs, remains
from aqueue.executors.local.cleanup import clean_up
from aqueue.executors.local.outcomes import NO_PROCESS_ERRORS, Outcomes
from aqueue.executors.local.process import Launch, Process, Spawn
from aqueue.executors.local.process_table import SharedTable
from aqueue.executors.local.usage import Meter
from aqueue.folder.layout import Folder
from aqueue.isolation import plan
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run

_FENCE_PATIENCE: Final = 2.0
"""The seconds before an action that failed for lack of room, files or processes is tried again."""


class ProcessSettings(NamedTuple):
    """The server's settings for the processes that it starts.

    Attributes:
        environment: the server's environment; a task's variables override it.
        grace: seconds between SIGTERM and SIGKILL.
        by_uuid: whether a command gets the UUIDs of its GPUs instead of indices.
        open_files: the limit on a command's open files; None: that of this process.
    """

    environment: Mapping[str, str]
    grace: float
    by_uuid: bool = False
    open_files: int | None = None


class Runner:
    """The supervisor of one attempt of a run.

    Args:
        run: as claimed; `run.attempt` says which attempt.
        report: is called with events for the user.
        processes: the process table, if it is shared with other searches.
        spawn: starts the process.
    """

    def __init__(
        self,
        run: Run,
        folder: Folder,
        clock: Clock,
        settings: ProcessSettings,
        *,
        report: Report = lambda *_: None,
        processes: SharedTable | None = None,
        spawn: Spawn = process.spawn,
    ) -> None:
        self.run = run
        self._folder = folder
        self._clock = clock
        self._settings = settings
        self._report = report
        self._processes = processes or SharedTable()
        self._spawn = spawn
        self._outcomes = Outcomes(run, folder, clock, settings.environment)
        self._attempt = folder.attempt(run.id, run.attempt)
        self._why_stopped: str | None = None
        self._is_disowned = False
        self._scope: anyio.CancelScope | None = None
        self._process: Process | None = None
        self._meter: Meter | None = None
        self._failure: Outcome | None = None
        self._is_ending = False
        self.shares_directory = False
        """True if another run used its working directory at the same time, and may have written there."""

    @property
    def working_dir(self) -> str | None:
        """Return the directory in which it runs; None if it has its own checkout."""
        return None if self.run.task.isolate else self.run.task.working_dir

    @property
    def pid(self) -> int | None:
        """Return the pid of the started process; None if there is none."""
        return None if self._process is None else self._process.pid

    def stop(self, why: str) -> None:
        """Stop the attempt: the process and its whole group."""
        if self._why_stopped is None and not self._is_disowned:
            self._why_stopped = why
            if self._scope is not None:
                self._scope.cancel()

    def disown(self) -> None:
        """Leave the attempt to another server, which supervises it now."""
        self._is_disowned = True
        if self._scope is not None:
            self._scope.deadline = math.inf

    def launch(self) -> bool:
        """Start the attempt, and return at once; `wait` returns its outcome.

        Returns:
            True if a process was started.
        """
        try:
            self._folder.make_run_dir(self.run.id)
            attempt_files.remove_links(self._attempt)
            has_plan = plan.is_needed(self.run.task)
            directory = plan.write(self.run, self._folder) if has_plan else self.run.task.working_dir
            variables = command.environment(
                self.run, self._settings.environment, self._folder, directory, by_uuid=self._settings.by_uuid
            )
            arguments = command.arguments(self.run.task, variables)
            self._meter = Meter(self.run.task.command, variables)
            has_input = self.run.task.stdin is not None
            if has_input:
                attempt_input.make(self._attempt)
            launch = Launch(
                self._attempt, directory, arguments, variables, has_plan, self._settings.open_files, has_input
            )
            self._process = self._spawn(launch)
        except attempt_locks.HeldError:
            # Another server has adopted the attempt, or is about to.
            self._failure = self._outcomes.of(End.NEVER_STARTED)
        except OSError as error:
            self._failure = self._outcomes.of_failed_launch(error)
        except ValueError as error:
            self._failure = self._outcomes.of(End.FAILED_TO_START, why=f"cannot be started: {error}")
        return self._process is not None

    async def wait(self) -> Outcome:
        """Wait until the started attempt is over, and stop it when requested or timed out."""
        if self._process is None or self._meter is None:
            outcome = self._failure or self._outcomes.of(End.NEVER_STARTED)
        else:
            self._meter.begin()
            with self._process as launched:
                outcome = await self._to_its_end(partial(self._wait_for, launched))
            outcome = msgspec.structs.replace(outcome, usage=self._meter.read(launched, outcome))
        if outcome.end is End.NEVER_STARTED and outcome.why and not self._is_disowned:
            # Nobody else starts this attempt, so its fence is not needed.
            attempt_files.remove(self._attempt)
        return outcome

    async def end(self) -> None:
        """End all processes of an attempt that cannot be supervised."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                await self._process.end_group(self._settings.grace)

    async def adopt(self, boot: str) -> Outcome:
        """Supervise an attempt of an earlier server, or find out how it ended.

        Args:
            boot: the boot of the machine in which that server was started.
        """
        return await self._to_its_end(partial(self._adopt, boot))

    async def _to_its_end(self, wait: Callable[[], Awaitable[Outcome]]) -> Outcome:
        outcome = await _patiently(wait)
        try:
            return await _patiently(partial(self._cleared, outcome))
        except OSError as error:
            # A failed cleanup does not change the outcome.
            self._warn(f"left files that cannot be read or removed: {error}")
            return outcome

    async def _cleared(self, outcome: Outcome) -> Outcome:
        if self._is_disowned:
            return outcome
        return await clean_up(outcome, self._folder, shares_directory=self.shares_directory)

    async def _adopt(self, boot: str) -> Outcome:
        has_closed, grace = await self._close_fence(), self._settings.grace
        search = adoption.Adoption(
            self._attempt, grace, self._is_to_end, self._warn, self._processes, has_closed=has_closed
        )
        while isinstance(found := await search.settle(), Process):
            with found:
                outcome = await self._wait_for(found)
            if outcome.end is not End.LOST:
                return outcome
            # Its wrapper was killed: its leftover processes must be gone before the run starts again.
        if found == Fence(None, None):
            return self._outcomes.of(End.NEVER_STARTED)
        return await self._over_with_its_group(found, boot)

    async def _over_with_its_group(self, fence: Fence, boot: str) -> Outcome:
        """End the leftover processes of an attempt whose wrapper is gone, and return the outcome."""
        if fence.pid is not None:
            table = await self._processes.read()
            for group in remains.groups_of(remains.find_group(self._attempt, fence, table)):
                await process.end_group(group, self._settings.grace)
            fence = attempt_files.read_fence(self._attempt) or fence
        return self._outcomes.of_unseen(fence, boot)

    def _is_to_end(self) -> bool:
        return self._why_stopped is not None or self._seconds_left() <= 0

    def _seconds_left(self) -> float:
        if self.run.task.timeout is None or self.run.started_at is None:
            return math.inf
        return self.run.started_at + self.run.task.timeout - self._clock.now()

    def _warn(self, text: str) -> None:
        self._report(Notice(f"run {self.run.id} {text}", urgent=True))

    async def _close_fence(self) -> bool:
        """Create the fence of an attempt if it has none; return True if it had none."""
        while True:
            try:
                # The server that claimed the run may be about to create this directory, and start the run.
                self._folder.make_run_dir(self.run.id)
                return attempt_files.close_fence(self._attempt)
            except OSError:
                # On a full disk, or if there is no directory, it is not yet known whether the attempt ever began.
                if self._why_stopped is not None:
                    return False
                await anyio.sleep(_FENCE_PATIENCE)

    async def _wait_for(self, running: Process) -> Outcome:
        with anyio.move_on_after(self._seconds_left()) as self._scope:
            if self._why_stopped is not None:
                self._scope.cancel()
            await self._ended(running)
        # There is nothing left to stop or to time out, even if leftover processes remain.
        self._scope = None
        if running.has_ended() and not self._is_ending:
            # It may have ended by itself at the last moment, or while this server was suspended.
            return await self._over(running, running.reap())
        self._is_ending = True
        await running.end_group(self._settings.grace)
        code = await running.wait()
        if code is None and (fence := attempt_files.read_fence(self._attempt)):
            code = fence.exit_code
        if self._why_stopped is not None:
            return self._outcomes.of(End.STOPPED, code, self._why_stopped)
        return self._outcomes.of(End.TIMED_OUT, code)

    async def _ended(self, running: Process) -> None:
        limit = self.run.task.log_limit
        if limit is None:
            await running.ended()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log_keeping.keep_within, limit, self._attempt, lambda: self._is_disowned, self._warn)
            await running.ended()
            tasks.cancel_scope.cancel()

    async def _over(self, running: Process, code: int | None) -> Outcome:
        if procfs.group_has_members(running.pid):
            await running.end_group(self._settings.grace)
        if code is None:
            fence = attempt_files.read_fence(self._attempt) or Fence(running.pid, None)
            return self._outcomes.of_unseen(fence, "")
        return self._outcomes.of_child(code)


async def _patiently(do: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Retry an action for as long as it fails for lack of files, processes or memory.

    If the run counted as lost then, it would run twice; if it counted as failed, its outcome would be lost.
    """
    while True:
        try:
            return await do()
        except OSError as error:
            if error.errno not in NO_PROCESS_ERRORS:
                raise
        await anyio.sleep(_FENCE_PATIENCE)
