"""Attempts as processes of this machine."""

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from aqueue.clock import Clock
from aqueue.executors.local.parking import Parking
from aqueue.executors.local.process_table import SharedTable
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.events import Report
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run

ROOM_TO_START: Final = 16 << 20
"""The number of bytes that must be free on the disk before a run starts; it needs room for its log."""

FILES_TO_START: Final = 64
"""The number of files that the disk must have room for before a run starts."""


class LocalAttempt:
    """The process of one attempt, as the server sees it.

    Args:
        wait: waits for the end of the attempt that the runner started or adopted.
        handle: its handle, if already known.
        over: is called when this server no longer manages the attempt.
    """

    def __init__(
        self,
        runner: Runner,
        wait: Callable[[], Awaitable[Outcome]],
        handle: str | None,
        over: Callable[[Runner], None],
    ) -> None:
        self.run = runner.run
        self.handle = handle
        self._runner = runner
        self._wait = wait
        self._over = over

    async def outcome(self) -> Outcome:
        """Wait until the process and its group are gone, and return the outcome."""
        try:
            return await self._wait()
        except Exception:
            await self._runner.end()
            raise
        finally:
            self._over(self._runner)

    def stop(self, why: str) -> None:
        """Stop the process and its whole group."""
        self._runner.stop(why)

    def disown(self) -> None:
        """Leave the process alone from now on."""
        self._runner.disown()
        self._over(self._runner)


class LocalExecutor:
    """Runs attempts as processes of this machine.

    Args:
        environment: the server's environment; a task's variables override it.
        config: returns the current configuration; called for each attempt.
        open_files: the limit on a command's open files; None: that of this process.
        report: is called with events for the user.
    """

    name = "local"

    def __init__(
        self,
        folder: Folder,
        clock: Clock,
        environment: Mapping[str, str],
        config: Callable[[], Config],
        *,
        open_files: int | None = None,
        report: Report = lambda *_: None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._environment = environment
        self._config = config
        self._open_files = open_files
        self._report = report
        self._running: set[Runner] = set()
        self._processes = SharedTable()
        self._parking = Parking(folder.state, environment)

    def shortage(self) -> str:
        """Return why the disk has no room to start a run; empty if it has."""
        status = os.statvfs(self._folder.state)
        free = status.f_bavail * status.f_frsize
        if free < ROOM_TO_START:
            return f"the disk is full (there are {free >> 20} MiB free)"
        if status.f_files and status.f_favail < FILES_TO_START:
            return f"the disk is full ({status.f_favail} more files can be made)"
        return ""

    def start(self, run: Run) -> LocalAttempt:
        """Start the process of a claimed run."""
        runner = self._new_runner(run)
        runner.launch()
        handle = None if runner.pid is None else str(runner.pid)
        return LocalAttempt(runner, partial(self._wait, runner), handle, self._running.discard)

    async def _wait(self, runner: Runner) -> Outcome:
        outcome = await runner.wait()
        if outcome.end is End.NEVER_STARTED:
            # A parked shell may be the cause, so the next attempts use none for a while.
            self._parking.pause()
        return outcome

    def adopt(self, run: Run, handle: str | None, boot: str) -> LocalAttempt:
        """Find the process of an earlier attempt by its files, or find out how it ended."""
        runner = self._new_runner(run)
        return LocalAttempt(runner, partial(runner.adopt, boot), handle, self._running.discard)

    def prepare(self) -> None:
        """Park shells for the next attempts."""
        self._parking.fill()

    def close(self) -> None:
        """End the parked shells."""
        self._parking.close()

    def others_are_serving(self) -> None:
        """Mark all attempts of this server: runs of other servers may use the same directories."""
        for runner in self._running:
            runner.shares_directory = True

    def _new_runner(self, run: Run) -> Runner:
        config = self._config()
        runner = Runner(
            run,
            self._folder,
            self._clock,
            ProcessSettings(self._environment, config.grace, config.gpus.by_uuid, self._open_files),
            report=self._report,
            processes=self._processes,
            spawn=self._parking.spawn,
        )
        for other in self._running:
            if other.working_dir == runner.working_dir is not None:
                other.shares_directory = runner.shares_directory = True
        self._running.add(runner)
        return runner
