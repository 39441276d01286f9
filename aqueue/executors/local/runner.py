"""One attempt's life: spawn or adopt, wait, stop if need be, and say how it ended."""

import contextlib
import errno
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio
import msgspec

from aqueue.clock import Clock
from aqueue.clock import boot as this_boot
from aqueue.errors import DISK_FULL, EXHAUSTED
from aqueue.executors import attempt_files, command, metrics
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import (
    adoption,
    attempt_locks,
    log_keeping,
    process,
    procfs,
    program_errors,
    remains,
    wrapper,
)
from aqueue.executors.local.process import Process
from aqueue.executors.local.process_table import SharedTable
from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.isolation import plan
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Metric, Run
from aqueue.policy.retry import explain
from aqueue.threads import in_thread

_LOST_RESTARTED = "the machine was restarted"
_LOST_KILLED = "its process was killed while no server was up"
_LOST_GARBLED = "somebody has changed {}.pid, which was to hold its exit code"
_FENCE_PATIENCE = 2.0
_NO_PROCESS = (errno.EAGAIN, *EXHAUSTED)
_SHARED = (
    "metrics.json was left alone, as other runs may have been in this directory at the same time:"
    " write it to $AQUEUE_RUN_DIR, or say `isolate: git`"
)


class Runner:
    """Sees one attempt of a run through.

    Args:
        run: as claimed; `run.attempt` says which attempt.
        environment: the server's, over which the task's goes.
        grace: seconds between SIGTERM and SIGKILL.
        by_uuid: whether the command is told UUIDs of its GPUs rather than indices.
        open_files: how many files the command may have open; None: as many as this process.
        report: takes what a person should know.
        processes: the process table, if others search in it at the same time.
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
        open_files: int | None = None,
        report: Report = lambda *_: None,
        processes: SharedTable | None = None,
    ) -> None:
        self.run = run
        self._folder = folder
        self._clock = clock
        self._environment = environment
        self._grace = grace
        self._by_uuid = by_uuid
        self._open_files = open_files
        self._report = report
        self._processes = processes or SharedTable()
        self._attempt = folder.attempt(run.id, run.attempt)
        self._why_stopped: str | None = None
        self._is_disowned = False
        self._scope: anyio.CancelScope | None = None
        self._process: Process | None = None
        self._failure: Outcome | None = None
        self._is_ending = False
        self.has_company = False
        """True if another run was in its working directory at the same time, and may have written there, too."""

    @property
    def working_dir(self) -> str | None:
        """Return where it runs; None if that is a checkout of its own."""
        return None if self.run.task.isolate else self.run.task.working_dir

    @property
    def pid(self) -> int | None:
        """Return the pid of the process that was launched; None if there is none."""
        return None if self._process is None else self._process.pid

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

    def launch(self) -> bool:
        """Start the attempt, and return at once; what comes of it, `see_through` says.

        Returns:
            whether there is a process.
        """
        try:
            self._folder.make_run_dir(self.run.id)
            attempt_files.remove_links(self._attempt)
            has_plan = plan.is_needed(self.run.task)
            directory = plan.write(self.run, self._folder) if has_plan else self.run.task.working_dir
            variables = command.environment(
                self.run, self._environment, self._folder, directory, by_uuid=self._by_uuid
            )
            self._process = process.spawn(
                self._attempt,
                directory,
                command.arguments(self.run.task, variables),
                variables,
                has_plan=has_plan,
                open_files=self._open_files,
            )
        except attempt_locks.HeldError:
            # Another server has taken it for one of its own, or looks at it to do so.
            self._failure = self._outcome(End.NEVER_STARTED)
        except OSError as error:
            self._failure = self._not_launched(error)
        except ValueError as error:
            self._failure = self._outcome(End.FAILED_TO_START, why=f"cannot be started: {error}")
        return self._process is not None

    async def see_through(self) -> Outcome:
        """Wait until the attempt that was launched is over, and stop it when it is time to."""
        if self._process is None:
            outcome = self._failure or self._outcome(End.NEVER_STARTED)
        else:
            with self._process as launched:
                outcome = await self._to_its_end(partial(self._see_through, launched))
        if outcome.end is End.NEVER_STARTED and outcome.why and not self._is_disowned:
            # Nobody else starts this attempt, so there is nothing that its fence would have to keep away.
            attempt_files.remove(self._attempt)
        return outcome

    async def end(self) -> None:
        """End all there is of an attempt that cannot be seen through."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                await self._process.end_group(self._grace)

    async def adopt(self, boot: str) -> Outcome:
        """See an attempt of an earlier server through, or find out how it ended.

        Args:
            boot: the boot of the machine in which that server was started.
        """
        return await self._to_its_end(partial(self._adopt, boot))

    async def _to_its_end(self, see_through: Callable[[], Awaitable[Outcome]]) -> Outcome:
        outcome = await _patiently(see_through)
        try:
            return await _patiently(partial(self._cleared, outcome))
        except OSError as error:
            # It has ended as it has, whatever becomes of what it left.
            self._tell(f"left what cannot be looked at: {error}")
            return outcome

    async def _cleared(self, outcome: Outcome) -> Outcome:
        """Take what the attempt measured, and clear away what it could not clear away itself."""
        if self._is_disowned:
            return outcome
        if plan.is_needed(self.run.task):
            await self._clear_away(outcome)
        if outcome.end in (End.NEVER_STARTED, End.FAILED_TO_START):
            return outcome
        if self.run.task.log_limit is not None:
            await log_keeping.settle(self.run.task.log_limit, self._attempt)
        return msgspec.structs.replace(outcome, metrics=await self._measured())

    async def _clear_away(self, outcome: Outcome) -> None:
        """See to the outputs and the checkout of an attempt that was killed before it could do so itself."""
        path = self._folder.checkout(self.run.id, self.run.attempt)
        if outcome.end is End.NEVER_STARTED:
            if path.exists():
                # Imported here: it is seldom needed.
                from aqueue.isolation.checkout.files import discard

                with contextlib.suppress(OSError):
                    await in_thread(partial(discard, str(path)))
            return
        fence = attempt_files.read_fence(self._attempt)
        if fence is not None and (fence.exit_code is None or fence.remark == wrapper.UNFINISHED):
            code = outcome.exit_code or 1
            await in_thread(partial(plan.finish, self._attempt, code), abandon_on_cancel=True)

    async def _measured(self) -> dict[str, Metric]:
        """Return what the attempt measured; problems with that are written into its output, where users look."""
        notes = [_SHARED] if self.has_company and _remove(self._attempt + ".metrics.json") else []
        size = metrics.output_size(self._attempt)
        if size > metrics.LARGE:
            found, problem = await in_thread(partial(metrics.read, self._attempt, size))
        else:
            found, problem = metrics.read(self._attempt, size)
        notes += [problem] if problem else []
        if notes:
            with contextlib.suppress(OSError), open(self._attempt + ".log", "a", opener=no_links.opener) as log:
                log.writelines(f"aqueue: {note}\n" for note in notes)
        return found

    async def _adopt(self, boot: str) -> Outcome:
        has_closed = await self._close_fence()
        search = adoption.Adoption(
            self._attempt, self._grace, self._is_to_end, self._tell, self._processes, has_closed=has_closed
        )
        while isinstance(found := await search.settle(), Process):
            with found:
                outcome = await self._see_through(found)
            if outcome.end is not End.LOST:
                return outcome
            # Its wrapper was killed: what is left of it must be gone before it is started again.
        if found == Fence(None, None):
            return self._outcome(End.NEVER_STARTED)
        return await self._over_with_its_group(found, boot)

    async def _over_with_its_group(self, fence: Fence, boot: str) -> Outcome:
        """End what an attempt has left behind; or all of it but the wrapper, before it is started again."""
        if fence.pid is not None:
            table = await self._processes.read()
            for group in remains.groups_of(remains.find_group(self._attempt, fence, table)):
                await process.end_group(group, self._grace)
            fence = attempt_files.read_fence(self._attempt) or fence
        return self._over_unseen(fence, boot)

    def _is_to_end(self) -> bool:
        return self._why_stopped is not None or self._seconds_left() <= 0

    def _seconds_left(self) -> float:
        if self.run.task.timeout is None or self.run.started_at is None:
            return math.inf
        return self.run.started_at + self.run.task.timeout - self._clock.now()

    def _tell(self, text: str) -> None:
        self._report(Notice(f"run {self.run.id} {text}", urgent=True))

    async def _close_fence(self) -> bool:
        """Make the fence of an attempt that has none; return True if there was none."""
        while True:
            try:
                # Whoever claimed it may be about to make it, and to start it there.
                self._folder.make_run_dir(self.run.id)
                return attempt_files.close_fence(self._attempt)
            except OSError:
                # On a full disk, or where no directory can be, it cannot be told yet whether it ever began.
                if self._why_stopped is not None:
                    return False
                await anyio.sleep(_FENCE_PATIENCE)

    async def _see_through(self, running: Process) -> Outcome:
        with anyio.move_on_after(self._seconds_left()) as self._scope:
            if self._why_stopped is not None:
                self._scope.cancel()
            await self._ended(running)
        # Whatever becomes of what it left behind: there is nothing to stop or to time out any more.
        self._scope = None
        if running.has_ended() and not self._is_ending:
            # Perhaps by itself in the last moment, or while this server slept.
            return await self._over(running, running.reap())
        self._is_ending = True
        await running.end_group(self._grace)
        code = await running.wait()
        if code is None and (fence := attempt_files.read_fence(self._attempt)):
            code = fence.exit_code
        if self._why_stopped is not None:
            return self._outcome(End.STOPPED, code, self._why_stopped)
        return self._outcome(End.TIMED_OUT, code)

    async def _ended(self, running: Process) -> None:
        limit = self.run.task.log_limit
        if limit is None:
            await running.ended()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log_keeping.keep_within, limit, self._attempt, lambda: self._is_disowned, self._tell)
            await running.ended()
            tasks.cancel_scope.cancel()

    async def _over(self, running: Process, code: int | None) -> Outcome:
        if procfs.group_has_members(running.pid):
            await running.end_group(self._grace)
        if code is None:
            return self._over_unseen(attempt_files.read_fence(self._attempt) or Fence(running.pid, None), "")
        if code in (wrapper.FENCED, wrapper.NO_FENCE) and not attempt_files.has_recorded(self._attempt, code):
            what = f"cannot make its files in {self._folder.run_dir(self.run.id)}"
            why = self._disk_is_full(what) if code == wrapper.NO_FENCE else ""
            return self._outcome(End.NEVER_STARTED, why=why)
        if not attempt_files.has_come_to_its_fence(self._attempt):
            return self._no_process(f"its shell ended with {code} before it did anything")
        return self._exited(code)

    def _not_launched(self, error: OSError) -> Outcome:
        if error.errno in DISK_FULL:
            why = self._disk_is_full("found no room to start")
        elif str(error.filename).startswith(self._folder.runs_text):
            why = f"run {self.run.id} cannot make {error.filename} ({error.strerror})"
        elif error.errno in _NO_PROCESS:
            return self._no_process(os.strerror(error.errno))
        else:
            return self._outcome(End.FAILED_TO_START, why=f"cannot be started: {error.strerror}")
        return self._outcome(End.NEVER_STARTED, why=why)

    def _no_process(self, why: str) -> Outcome:
        return self._outcome(End.NEVER_STARTED, why=f"run {self.run.id} cannot have a process ({why})")

    def _disk_is_full(self, what: str) -> str:
        return f"the disk is full (run {self.run.id} {what})"

    def _over_unseen(self, fence: Fence, boot: str) -> Outcome:
        """Return how an attempt ended that was not a child of this server, by what the wrapper wrote."""
        if fence.exit_code is not None:
            ended_at = attempt_files.ended_at(self._attempt, self.run.started_at, self._clock.now())
            return msgspec.structs.replace(self._exited(fence.exit_code), at=ended_at)
        if fence.is_garbled:
            return self._outcome(End.LOST, why=_LOST_GARBLED.format(self._attempt))
        restarted = boot and boot != this_boot()
        return self._outcome(End.LOST, why=_LOST_RESTARTED if restarted else _LOST_KILLED)

    def _exited(self, code: int) -> Outcome:
        if code in wrapper.REFUSALS:
            fence = attempt_files.read_fence(self._attempt)
            if fence is not None and fence.remark not in ("", wrapper.UNFINISHED):
                return self._refused(code, fence.remark)
        return self._outcome(End.EXITED, code)

    def _refused(self, code: int, why: str) -> Outcome:
        """Return the command was not run."""
        if code == wrapper.NO_PROCESS:
            return self._no_process(why)
        if code == wrapper.NO_ROOM:
            return self._outcome(
                End.NEVER_STARTED, why=self._disk_is_full(f"found no room for its checkout: {why}")
            )
        if code == wrapper.NO_CHECKOUT:
            return self._outcome(End.FAILED_TO_START, why=f"cannot be started: {why}")
        why = f"working_dir {self.run.task.working_dir} is no directory to be in"
        return self._outcome(End.FAILED_TO_START, why=f"cannot be started: {why}")

    def _outcome(self, end: End, code: int | None = None, why: str = "") -> Outcome:
        outcome = Outcome(run=self.run, end=end, at=self._clock.now(), exit_code=code, why=why)
        if end is End.EXITED and code:
            tail = program_errors.tail(self._folder.log(self.run.id, self.run.attempt))
            found = self._not_started(code, tail)
            otherwise = explain(outcome, tail) if code in program_errors.NOT_STARTED else ""
            return msgspec.structs.replace(outcome, why=found or otherwise)
        return outcome

    def _not_started(self, code: int, log_tail: str) -> str | None:
        """Say what is wrong with the program that a shell has complained of, or an interpreter with its script."""
        name = program_errors.named(log_tail) if code in program_errors.NOT_STARTED else None
        if name is None and not program_errors.is_misread(log_tail):
            return None
        task, working_dir = self.run.task, self.run.task.working_dir
        if task.snapshot is not None:
            working_dir = str(self._folder.checkout(self.run.id, self.run.attempt) / task.snapshot.prefix)
        try:
            variables = command.environment(self.run, self._environment, self._folder, working_dir)
            path = variables.get("PATH", os.defpath)
            if name is None:
                return program_errors.explain_option(task.command, working_dir, path)
            return program_errors.explain(name, task.command, working_dir, path)
        except (OSError, ValueError):
            return None


async def _patiently(do: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Do something again for as long as there are no files, or no memory, left to do it with.

    To take a run for lost then would be to run it twice; to take it for failed, to forget how it ended.
    """
    while True:
        try:
            return await do()
        except OSError as error:
            if error.errno not in _NO_PROCESS:
                raise
        await anyio.sleep(_FENCE_PATIENCE)


def _remove(path: str) -> bool:
    """Remove a file, and say whether it was there; it mostly is not, which is cheaper to ask than to find out."""
    if not os.path.exists(path):  # noqa: PTH110 - a text already
        return False
    os.unlink(path)  # noqa: PTH108 - a text already
    return True
