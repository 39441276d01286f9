"""Processes: start one that survives its server, wait for it, stop its whole group, and find it again.

Every attempt runs under a small shell script (see `wrapper`), in its own session and process group. The script
first creates the fence: the attempt's `.pid` file, exclusively, with its pid; if the file already exists, it runs
nothing. Last, it appends the command's exit code. So the file shows whether an attempt never ran (no file), is
running (a pid), or is over (a pid and an exit code). The exit code goes into the existing file, because a full
disk may have no room for a new one.
"""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Self

import anyio

from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import attempt_locks, handover, wrapper
from aqueue.executors.local.procfs import all_pids, catches, command_pid, group_has_members, is_wrapper
from aqueue.processes import is_alive
from aqueue.threads import in_thread

_ALL_SIGNALS: Final = signal.valid_signals()
"""The signals that get their default action in a command, even if the server ignores them.

Naming all of them is fastest: for each signal that is not named, the C library needs two system calls instead of
one. Computed once, because that takes a third as long as a spawn.
"""


_YOUTH: Final = 1.0
"""The seconds that a wrapper has to fork its command before a signal is sent anyway."""

_STEP: Final = 0.005
"""The seconds between two checks of a new wrapper."""

FileAction = tuple[int, int, int]


class Process:
    """The process of one attempt, a child of this server or adopted from an earlier one.

    Use it as a context manager: it holds a file descriptor.
    """

    def __init__(self, pid: int, *, child: bool) -> None:
        self.pid = pid
        self._child = child
        self._has_ended = False
        self._code: int | None = None
        self.used: resource.struct_rusage | None = None
        """The resources that it and its children used; None before it is reaped, and if unknown."""
        self._descriptor: int | None = None
        self._old_at = time.monotonic() + _YOUTH if child else 0.0
        if hasattr(os, "pidfd_open"):
            try:
                self._descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                raise
            except OSError:
                # Too many files are open. The process runs anyway, and a thread can wait for it.
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def wait(self) -> int | None:
        """Wait until the process is over, and reap it; see `reap` for what it returns."""
        await self.ended()
        return self.reap()

    async def ended(self) -> None:
        """Wait until the process is over."""
        if self._has_ended:
            return
        if self._descriptor is None:
            # Such a thread waits long, and must not take one from the shared pool.
            limiter = anyio.CapacityLimiter(1)
            await in_thread(self._wait_in_thread, abandon_on_cancel=True, limiter=limiter)
        else:
            await anyio.wait_readable(self._descriptor)
        self._has_ended = True

    def has_ended(self) -> bool:
        """Return True if the process is over."""
        if self._has_ended:
            return True
        if self._child and self._code is None:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return not is_alive(self.pid)

    def reap(self) -> int | None:
        """Reap a process that is over; it may be called again.

        Returns:
            its exit code, or 128 + n if signal n ended it; None if it is not a child of this process.
        """
        if self._child and self._code is None:
            _, status, used = os.wait4(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._code = code if code >= 0 else 128 - code
            # A wrapper that was killed has not waited for its command.
            self.used = used if code >= 0 else None
        return self._code

    def _wait_in_thread(self) -> None:
        if self._child:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        while is_alive(self.pid):
            time.sleep(0.1)

    async def end_group(self, grace: float) -> None:
        """End the process group: send SIGTERM, and SIGKILL `grace` seconds later.

        Call it after `wait` to end leftover processes, or before to stop the command as well.
        """
        await self._command_begun()
        await end_group(self.pid, grace)

    async def _command_begun(self) -> None:
        """Wait until a new wrapper has forked its command: until then it catches signals meant for the command."""
        while time.monotonic() < self._old_at and not self.has_ended():
            forked = command_pid(self.pid)
            # The fork, too, catches the signal until it has reset its traps.
            if forked != self.pid and not catches(forked, signal.SIGTERM):
                return
            await anyio.sleep(_STEP)


class Launch(NamedTuple):
    """The start of an attempt.

    Attributes:
        attempt: the path of the attempt's files, without their suffixes; its directory must exist.
        working_dir: the absolute path of the directory in which the command runs.
        arguments: the program and its arguments; or `wrapper.OWN_SHELL`, a shell command and its params.
        environment: the complete environment of the command.
        has_plan: whether there is a plan for a checkout or for outputs; see `checkout`.
        open_files: the limit on the command's open files; None: that of this process.
        has_input: whether its input was made; see `attempt_input`.
    """

    attempt: str
    working_dir: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    has_plan: bool = False
    open_files: int | None = None
    has_input: bool = False

    def prepared(self) -> "Prepared":
        """Return what a shell needs to run the wrapper."""
        given = handover.hand_over(self.environment, os.environ, self.working_dir, self.arguments)
        return Prepared(
            wrapper.script(has_plan=self.has_plan, open_files=self.open_files, has_input=self.has_input),
            [self.attempt, self.working_dir, given.restoring, *given.arguments],
            given.environment,
        )


class Prepared(NamedTuple):
    """A shell's script, arguments and environment, so that it runs the wrapper of an attempt.

    Attributes:
        script: the wrapper.
        arguments: the script's.
        environment: the shell's.
    """

    script: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


Spawn = Callable[[Launch], Process]
"""A way to start an attempt, as `spawn` is."""


def spawn(launch: Launch) -> Process:
    """Start an attempt.

    This accesses neither the working directory nor the program; the wrapper does that later.

    Raises:
        attempt_locks.HeldError: it is already running.
        OSError: it cannot be started, for instance because the arguments are too long.
    """
    return spawn_prepared(launch.attempt, launch.prepared())


def spawn_prepared(attempt: str, prepared: Prepared) -> Process:
    """Start an attempt in a new shell; as `spawn`."""
    lock = attempt_locks.take(attempt)
    try:
        pid = spawn_shell([prepared.script, "/bin/sh", *prepared.arguments], prepared.environment, lock)
    finally:
        if lock is not None:
            os.close(lock)
    return Process(pid, child=True)


def spawn_shell(
    arguments: Sequence[str], environment: Mapping[str, str], lock: int | None, actions: Sequence[FileAction] = ()
) -> int:
    """Start a shell that leads its own session, without input and output.

    Args:
        arguments: its script, and the arguments of that.
        lock: the descriptor of an attempt's lock that the shell holds; None if there is none.
        actions: additional file actions for `os.posix_spawn`.

    Returns:
        its pid.
    """
    return os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", "-c", *arguments],
        environment,
        file_actions=[
            *([] if lock is None else [(os.POSIX_SPAWN_DUP2, lock, attempt_locks.inherited_descriptor())]),
            *actions,
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=_ALL_SIGNALS,
    )


def find(attempt: str, fence: Fence, candidates: Iterable[int] | None = None) -> Process | None:
    """Find the living process of an attempt of an earlier server; None if there is none.

    It is recognised by its command line, which names the attempt; its pid may have been reused.

    Args:
        candidates: the pids to search if the fence has none; None: all.
    """
    if fence.pid is not None:
        candidates = [fence.pid]
    return first_pinned(all_pids() if candidates is None else candidates, partial(is_wrapper, attempt=attempt))


def first_pinned(pids: Iterable[int], is_meant: Callable[[int], bool]) -> Process | None:
    """Return the first process for which `is_meant` is true; None if there is none."""
    return next(filter(None, (pinned(pid, is_meant) for pid in pids)), None)


def pinned(pid: int, is_meant: Callable[[int], bool]) -> Process | None:
    """Return the process with a pid; None if it is gone, or `is_meant` is false."""
    if not is_meant(pid):
        return None
    try:
        process = Process(pid, child=False)
    except ProcessLookupError:
        return None
    with contextlib.ExitStack() as stack:
        stack.enter_context(process)
        # Checked again now that the process is pinned: its pid may have been reused in between.
        if is_meant(pid):
            stack.pop_all()
            return process
    return None


async def end_group(group: int, grace: float) -> None:
    """Send SIGTERM to a process group, and SIGKILL to the processes left after `grace` seconds."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return
        pause = 0.002
        with anyio.move_on_after(patience):
            # No descriptor can be used to wait for a whole group.
            while group_has_members(group):
                await anyio.sleep(pause)
                pause = min(pause * 1.5, 0.1)
            return
