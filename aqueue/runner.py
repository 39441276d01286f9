"""One attempt's life: spawn or adopt, wait, stop if need be, and say how it ended."""

import errno
import math
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import anyio
import msgspec

from aqueue import process
from aqueue.clock import Clock
from aqueue.folder import Folder
from aqueue.models import Run, Task, plain_text
from aqueue.outcomes import End, Outcome, explain
from aqueue.process import Fence, Process

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOST_RESTARTED = "the machine was restarted"
_LOST_KILLED = "its process was killed while no server was up"
_FENCE_PATIENCE = 2.0

OWN_VARIABLES = (
    "AQUEUE_RUN_ID",
    "AQUEUE_ID",
    "AQUEUE_NAME",
    "AQUEUE_QUEUE",
    "AQUEUE_ATTEMPT",
    "AQUEUE_RUN_DIR",
    "AQUEUE_SCHEDULED_FOR",
    "AQUEUE_GPUS",
)
"""What a command knows about its run; a server that is itself a run must not hand its own on."""


class Runner:
    """Sees one attempt of a run through.

    Args:
        run: as claimed; `run.attempt` says which attempt.
        environment: the server's, over which the task's goes.
        grace: seconds between SIGTERM and SIGKILL.
        by_uuid: whether the command is told UUIDs of its GPUs rather than indices.
    """

    def __init__(
        self,
        run: Run,
        folder: Folder,
        clock: Clock,
        environment: Mapping[str, str],
        grace: float,
        *,
        by_uuid: bool = False,
    ) -> None:
        self.run = run
        self._folder = folder
        self._clock = clock
        self._environment = environment
        self._grace = grace
        self._by_uuid = by_uuid
        self._attempt = folder.attempt(run.id, run.attempt)
        self._why_stopped: str | None = None
        self._is_disowned = False
        self._scope: anyio.CancelScope | None = None
        self._process: Process | None = None
        self._failure: Outcome | None = None

    def stop(self, why: str) -> None:
        """Have the attempt stopped: the process and all of its group."""
        if self._why_stopped is None and not self._is_disowned:
            self._why_stopped = why
            if self._scope is not None:
                self._scope.cancel()

    def disown(self) -> None:
        """Leave the attempt alone, because another server sees it through now."""
        self._is_disowned = True
        if self._scope is not None:
            self._scope.deadline = math.inf

    def launch(self) -> None:
        """Start the attempt, and return at once; what comes of it, `see_through` says."""
        try:
            self._folder.make_run_dir(self.run.id)
            self._process = process.spawn(
                self._attempt,
                self.run.task.working_dir,
                arguments(self.run.task),
                environment(self.run, self._environment, self._folder)
                | card_variables(self.run, by_uuid=self._by_uuid),
            )
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._failure = self._outcome(End.NEVER_STARTED, why=f"run {self.run.id} found no room to start")
            else:
                self._failure = self._outcome(End.FAILED_TO_START, why=f"cannot be started: {error.strerror}")
        except ValueError as error:
            self._failure = self._outcome(End.FAILED_TO_START, why=f"cannot be started: {error}")

    async def see_through(self) -> Outcome:
        """Wait until the attempt that was launched is over, and stop it when it is time to."""
        if self._process is None:
            return self._failure or self._outcome(End.NEVER_STARTED)
        with self._process as launched:
            return await self._see_through(launched)

    async def adopt(self, boot: str) -> Outcome:
        """See an attempt of an earlier server through, or find out how it ended.

        Args:
            boot: the boot of the machine in which that server was started.
        """
        if await self._close_fence():
            # Unless it has run since before somebody removed its files.
            living = process.find(self._attempt, Fence(None, None))
            if living is not None:
                with living:
                    self._folder.make_run_dir(self.run.id)
                    process.restore_fence(self._attempt, living)
                    return await self._see_through(living)
            return self._outcome(End.NEVER_STARTED)
        fence = await self._read_fence()
        adopted = process.find(self._attempt, fence)
        if adopted is not None:
            with adopted:
                return await self._see_through(adopted)
        if fence.pid is None:
            return self._outcome(End.NEVER_STARTED)
        # The wrapper may have ended since the fence was read.
        return await self._over_unseen(process.read_fence(self._attempt) or fence, boot)

    async def _close_fence(self) -> bool:
        while True:
            try:
                return process.close_fence(self._attempt)
            except OSError:
                # On a full disk it cannot be told yet whether it ever began.
                await anyio.sleep(_FENCE_PATIENCE)

    async def _read_fence(self) -> Fence:
        """What the fence says, once the wrapper has written its pid, if it lives to do so."""
        fence = Fence(None, None)
        with anyio.move_on_after(_FENCE_PATIENCE):
            while (fence := process.read_fence(self._attempt) or fence).pid is None:
                await anyio.sleep(0.05)
        return fence

    async def _see_through(self, running: Process) -> Outcome:
        seconds = math.inf
        if self.run.task.timeout is not None and self.run.started_at is not None:
            seconds = self.run.started_at + self.run.task.timeout - self._clock.now()
        with anyio.move_on_after(seconds) as self._scope:
            if self._why_stopped is not None:
                self._scope.cancel()
            await running.ended()
        # Whatever becomes of what it left behind: there is nothing to stop or to time out any more.
        self._scope = None
        if running.has_ended():
            # Perhaps by itself in the last moment, or while this server slept.
            return await self._over(running, running.reap())
        await running.end_group(self._grace)
        code = await running.wait()
        if self._why_stopped is not None:
            return self._outcome(End.STOPPED, code, self._why_stopped)
        return self._outcome(End.TIMED_OUT, code)

    async def _over(self, running: Process, code: int | None) -> Outcome:
        if process.group_has_members(running.pid):
            await running.end_group(self._grace)
        fence = None
        if code is None or code == process.FENCED:
            fence = process.read_fence(self._attempt)
            if code is not None and (fence is None or fence.pid != running.pid or fence.exit_code is None):
                others = fence is not None and fence.pid not in (None, running.pid)
                return self._outcome(End.NEVER_STARTED, why="" if others else self._no_files())
        if code is None:
            return await self._over_unseen(fence or Fence(running.pid, None), "")
        return self._exited(code)

    def _no_files(self) -> str:
        return f"run {self.run.id} cannot make its files in {self._folder.run_dir(self.run.id)}"

    async def _over_unseen(self, fence: Fence, boot: str) -> Outcome:
        """How an attempt ended that was not a child of this server, by what the wrapper wrote."""
        if fence.exit_code is not None:
            return self._exited(fence.exit_code)
        here = process.boot()
        if boot and boot != here:
            return self._outcome(End.LOST, why=_LOST_RESTARTED)
        if fence.pid is not None and process.group_is_of(fence.pid, str(self._folder.run_dir(self.run.id))):
            # The wrapper alone was killed. What it started must be gone before it is started again.
            await process.end_group(fence.pid, self._grace)
        return self._outcome(End.LOST, why=_LOST_KILLED)

    def _exited(self, code: int) -> Outcome:
        if code == process.NO_WORKING_DIR:
            fence = process.read_fence(self._attempt)
            if fence is not None and fence.refused:
                why = f"cannot be started: working_dir {self.run.task.working_dir} is no directory to be in"
                return self._outcome(End.FAILED_TO_START, why=why)
        return self._outcome(End.EXITED, code)

    def _outcome(self, end: End, code: int | None = None, why: str = "") -> Outcome:
        outcome = Outcome(run=self.run, end=end, at=self._clock.now(), exit_code=code, why=why)
        if end is End.EXITED and code == 127:
            why = explain(outcome, _tail(self._folder.log(self.run.id, self.run.attempt)))
            return msgspec.structs.replace(outcome, why=why)
        return outcome


def arguments(task: Task) -> list[str]:
    """What `process.spawn` takes to run the task's command.

    Raises:
        OSError: the program's name is empty, now that the params are filled in.
    """
    if not isinstance(task.command, str):
        words = [fill_in(word, task) for word in task.command]
        if not words[0]:
            raise OSError(errno.ENOENT, "the program's name is empty")
        return words
    # In a subshell, $$ would be the wrapper.
    if task.shell is None and "$$" not in task.command:
        return [process.OWN_SHELL, task.command, *task.arguments]
    shell = task.shell or "/bin/sh"
    return [shell, "-c", task.command, shell, *task.arguments]


def environment(run: Run, base: Mapping[str, str], folder: Folder) -> dict[str, str]:
    """The environment of a run's command, whole."""
    task = run.task
    variables = dict(base)
    variables.update((key, plain_text(value)) for key, value in task.params.items())
    variables.update((key, fill_in(value, task)) for key, value in task.env.items())
    variables["AQUEUE_RUN_ID"] = run.run_id
    variables["AQUEUE_ID"] = str(run.id)
    variables["AQUEUE_NAME"] = run.name
    variables["AQUEUE_QUEUE"] = run.queue
    variables["AQUEUE_ATTEMPT"] = str(run.attempt)
    if run.scheduled_for is not None:
        due = datetime.fromtimestamp(run.scheduled_for, UTC).isoformat(timespec="milliseconds")
        variables["AQUEUE_SCHEDULED_FOR"] = due.replace("+00:00", "Z")
    variables["AQUEUE_RUN_DIR"] = f"{folder.runs_text}/{run.id}"
    return variables


def card_variables(run: Run, *, by_uuid: bool) -> dict[str, str]:
    """What tells a command which GPUs are its own; nothing if its task does not say anything about GPUs.

    Indices unless UUIDs are wanted, since programs such as vLLM read them as numbers. An instance of a partitioned
    GPU has no index by which CUDA would find it.
    """
    if run.task.gpus is None:
        return {}
    cards = ",".join(card.key if by_uuid or card.is_instance else card.label for card in run.cards)
    return {
        "CUDA_VISIBLE_DEVICES": cards,
        # The order in which cards are numbered here; CUDA's own default is by speed.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": cards,
        "AQUEUE_GPUS": cards,
    }


def fill_in(text: str, task: Task) -> str:
    """Replace `${param}` by the param's value; what is none of the task's params stays as it is."""
    if "${" not in text:
        return text
    return _PLACEHOLDER.sub(
        lambda match: plain_text(task.params[match[1]]) if match[1] in task.params else match[0], text
    )


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
