"""Attempts as processes of this machine."""

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from aqueue.clock import Clock
from aqueue.executors.local.parking import Parking
from aqueue.executors.local.process_table import SharedTable
from aqueue.executors.local.runner import Runner
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.events import Report
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run

ROOM_TO_START: Final = 16 << 20
"""Bytes that must be free on the disk for a run to be started: it will want to write its log."""

FILES_TO_START: Final = 64
"""The number of files for which there must be room."""


class LocalAttempt:
    """The process of one attempt, as a server knows it.

    Args:
        see_through: waits for the end of what the runner has started or adopted.
        handle: that is known of it already.
        over: is called when this server has no more to do with it.
    """

    def __init__(
        self,
        runner: Runner,
        see_through: Callable[[], Awaitable[Outcome]],
        handle: str | None,
        over: Callable[[Runner], None],
    ) -> None:
        self.run = runner.run
        self.handle = handle
        self._runner = runner
        self._see_through = see_through
        self._over = over

    async def outcome(self) -> Outcome:
        """Wait until the process and its group are gone, and say how the attempt ended."""
        try:
            return await self._see_through()
        except Exception:
            await self._runner.end()
            raise
        finally:
            self._over(self._runner)

    def stop(self, why: str) -> None:
        """Have the process and all of its group stopped."""
        self._runner.stop(why)

    def disown(self) -> None:
        """Leave the process alone from now on."""
        self._runner.disown()
        self._over(self._runner)


class LocalExecutor:
    """Runs attempts as processes of this machine.

    Args:
        environment: the server's, over which a task's goes.
        config: asked anew for each attempt.
        open_files: how many files a command may have open; None: as many as this process.
        report: takes what a person should know.
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
        """Say why the disk has no room for a run to be started; empty if it has."""
        status = os.statvfs(self._folder.state)
        free = status.f_bavail * status.f_frsize
        if free < ROOM_TO_START:
            return f"the disk is full (there are {free >> 20} MiB free)"
        if status.f_files and status.f_favail < FILES_TO_START:
            return f"the disk is full ({status.f_favail} more files can be made)"
        return ""

    def start(self, run: Run) -> LocalAttempt:
        """Spawn the process of a claimed run."""
        runner = self._new_runner(run)
        runner.launch()
        handle = None if runner.pid is None else str(runner.pid)
        return LocalAttempt(runner, partial(self._see_through, runner), handle, self._running.discard)

    async def _see_through(self, runner: Runner) -> Outcome:
        outcome = await runner.see_through()
        if outcome.end is End.NEVER_STARTED:
            # If that is due to its shell, the next attempt must not come upon the same.
            self._parking.pause()
        return outcome

    def adopt(self, run: Run, handle: str | None, boot: str) -> LocalAttempt:
        """Find the process of an attempt again, by the files that it keeps; or find out how it ended."""
        runner = self._new_runner(run)
        return LocalAttempt(runner, partial(runner.adopt, boot), handle, self._running.discard)

    def prepare(self) -> None:
        """Park shells for the next attempts."""
        self._parking.fill()

    def close(self) -> None:
        """End the shells that wait for an attempt."""
        self._parking.close()

    def others_are_serving(self) -> None:
        """Mark what runs here: other servers run something, in whatever directory."""
        for runner in self._running:
            runner.has_company = True

    def _new_runner(self, run: Run) -> Runner:
        config = self._config()
        runner = Runner(
            run,
            self._folder,
            self._clock,
            self._environment,
            config.grace,
            by_uuid=config.gpus.by_uuid,
            open_files=self._open_files,
            report=self._report,
            processes=self._processes,
            spawn=self._parking.spawn,
        )
        for other in self._running:
            if other.working_dir == runner.working_dir is not None:
                other.has_company = runner.has_company = True
        self._running.add(runner)
        return runner
