"""The outcome of an attempt, from the files and the exit code of its wrapper."""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from aqueue.clock import Clock
from aqueue.clock import boot as this_boot
from aqueue.errors import DISK_FULL, EXHAUSTED
from aqueue.executors import attempt_files, command
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import program_errors, wrapper
from aqueue.executors.output_tail import read_tail
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.model.task import Task
from aqueue.policy.retry import explain, lost_in_shutdown

NO_PROCESS_ERRORS: Final = (errno.EAGAIN, *EXHAUSTED)
"""The errors for a temporary lack of processes, open files or memory."""

_SHELL_ERROR: Final = 2000
"""The number of characters at the end of an output among which an error message of the shell is expected."""

_LOST_RESTARTED: Final = "the machine was restarted"
_LOST_KILLED: Final = "its process was killed while no server was running"
_LOST_GARBLED: Final = "{}.pid, which holds its exit code, was changed"


class Outcomes:
    """The possible outcomes of one attempt of a run.

    Args:
        run: as claimed; `run.attempt` says which attempt.
        environment: the server's environment; the task's variables override it.
    """

    def __init__(self, run: Run, folder: Folder, clock: Clock, environment: Mapping[str, str]) -> None:
        self._run = run
        self._folder = folder
        self._clock = clock
        self._environment = environment
        self._attempt = folder.attempt(run.id, run.attempt)

    def of(self, end: End, code: int | None = None, why: str = "") -> Outcome:
        """Return an outcome as of now, with the reason if the command failed to start."""
        outcome = Outcome(run=self._run, end=end, at=self._clock.now(), exit_code=code, why=why)
        if end is End.EXITED and code:
            tail = read_tail(self._folder.log(self._run.id, self._run.attempt)).text
            found = self._not_started(code, tail[-_SHELL_ERROR:])
            return msgspec.structs.replace(outcome, why=found or explain(outcome, tail))
        return outcome

    def of_failed_launch(self, error: OSError) -> Outcome:
        """Return the outcome of an attempt that could not be spawned."""
        if error.errno in DISK_FULL:
            why = self._disk_is_full("found no room to start")
        elif str(error.filename).startswith(self._folder.runs_text):
            why = f"run {self._run.id} cannot make {error.filename} ({error.strerror})"
        elif error.errno in NO_PROCESS_ERRORS:
            return self._no_process(os.strerror(error.errno))
        else:
            return self.of(End.FAILED_TO_START, why=f"cannot be started: {error.strerror}")
        return self.of(End.NEVER_STARTED, why=why)

    def of_child(self, code: int) -> Outcome:
        """Return the outcome of an attempt whose wrapper was a child of this server, by its exit code."""
        if code in (wrapper.FENCED, wrapper.NO_FENCE) and not attempt_files.has_recorded(self._attempt, code):
            what = f"cannot make its files in {self._folder.run_dir(self._run.id)}"
            why = self._disk_is_full(what) if code == wrapper.NO_FENCE else ""
            return self.of(End.NEVER_STARTED, why=why)
        if not attempt_files.has_come_to_its_fence(self._attempt):
            return self._no_process(f"its shell exited with {code} before it did anything")
        return self._exited(code)

    def of_unseen(self, fence: Fence, boot: str) -> Outcome:
        """Return the outcome of an attempt that was not a child of this server, by what its wrapper wrote.

        Args:
            boot: the boot of the machine in which its server was started; empty for the current one.
        """
        restarted = boot and boot != this_boot()
        if fence.exit_code is not None:
            ended_at = attempt_files.ended_at(self._attempt, self._run.started_at, self._clock.now())
            outcome = msgspec.structs.replace(self._exited(fence.exit_code), at=ended_at)
            return lost_in_shutdown(outcome, _LOST_RESTARTED) if restarted else outcome
        if fence.is_garbled:
            return self.of(End.LOST, why=_LOST_GARBLED.format(self._attempt))
        return self.of(End.LOST, why=_LOST_RESTARTED if restarted else _LOST_KILLED)

    def _no_process(self, why: str) -> Outcome:
        return self.of(End.NEVER_STARTED, why=f"run {self._run.id} cannot have a process ({why})")

    def _disk_is_full(self, what: str) -> str:
        return f"the disk is full (run {self._run.id} {what})"

    def _exited(self, code: int) -> Outcome:
        if code in wrapper.REFUSALS:
            fence = attempt_files.read_fence(self._attempt)
            if fence is not None and fence.remark not in ("", wrapper.UNFINISHED):
                return self._refused(code, fence.remark)
        return self.of(End.EXITED, code)

    def _refused(self, code: int, why: str) -> Outcome:
        """Return the outcome of an attempt whose wrapper did not run the command."""
        if code == wrapper.NO_PROCESS:
            return self._no_process(why)
        if code == wrapper.NO_ROOM:
            return self.of(End.NEVER_STARTED, why=self._disk_is_full(f"found no room for its checkout: {why}"))
        if code == wrapper.NO_CHECKOUT:
            return self.of(End.FAILED_TO_START, why=f"cannot be started: {why}")
        why = _why_not_entered(self._run.task)
        return self.of(End.FAILED_TO_START, why=f"cannot be started: {why}")

    def _not_started(self, code: int, log_tail: str) -> str | None:
        """Return what is wrong with the program that a shell, or the script that an interpreter, could not run."""
        name = program_errors.named(log_tail) if code in program_errors.NOT_STARTED else None
        if name is None and not program_errors.is_misread(log_tail):
            return None
        task, working_dir = self._run.task, self._run.task.working_dir
        if task.snapshot is not None:
            working_dir = str(self._folder.checkout(self._run.id, self._run.attempt) / task.snapshot.prefix)
        try:
            variables = command.environment(self._run, self._environment, self._folder, working_dir)
            path = variables.get("PATH", os.defpath)
            if name is None:
                return program_errors.explain_option(task.command, working_dir, path)
            return program_errors.explain(name, task.command, working_dir, path)
        except (OSError, ValueError):
            return None


def _why_not_entered(task: Task) -> str:
    """Return why the shell could not enter the working directory of a task."""
    directory = f"working_dir {task.working_dir}"
    if task.snapshot is not None:
        return f"{directory} cannot be entered in its checkout"
    try:
        if not stat.S_ISDIR(Path(task.working_dir).stat().st_mode):
            return f"{directory} is not a directory"
    except FileNotFoundError:
        return f"{directory} does not exist"
    except NotADirectoryError:
        return f"{directory} is not a directory"
    except OSError as error:
        return f"{directory} cannot be entered: {error.strerror}"
    return f"{directory} cannot be entered: check its permissions"
