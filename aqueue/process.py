"""Processes: spawn one that survives its server, wait for it, stop its whole group, find it again.

Every attempt runs under a small shell script (see `wrapper`), in a session and process group of its own. Its first
act is the fence: it creates the attempt's `.pid` file, exclusively, with its pid; where the file is there already
it runs nothing. Its last act is to append the command's exit code. So whoever comes later can tell an attempt that
never ran (no file), one that runs (a pid), and one that is over (a pid and an exit code) from each other.
The exit code goes into the file that is there already, because on a full disk no new file could be had.
"""

import contextlib
import math
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import anyio
import msgspec

from aqueue import attempt_locks, handover, wrapper
from aqueue.threads import in_thread

_ALL_SIGNALS: Final = signal.valid_signals()
"""Made once: it takes as long to make as a third of a spawn."""


_NOT_OURS: Final = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What /proc says of a process that is gone, or another user's; where files have run out, it says nothing."""


class Fence(msgspec.Struct, frozen=True):
    """What an attempt's `.pid` file says.

    Attributes:
        pid: of the wrapper, which leads the process group; None in the instant before it is written.
        exit_code: of the command, once it is over.
        remark: why the command was not run although there was nothing in the way; or `wrapper.UNFINISHED`.
        is_garbled: it has lines that no wrapper writes; somebody else has changed it.
    """

    pid: int | None
    exit_code: int | None
    remark: str = ""
    is_garbled: bool = False


class Process:
    """The process of one attempt, a child of this server or adopted from an earlier one.

    Use it as a context manager: it holds a file descriptor.
    """

    def __init__(self, pid: int, *, child: bool) -> None:
        self.pid = pid
        self._child = child
        self._has_ended = False
        self._code: int | None = None
        self._descriptor: int | None = None
        if hasattr(os, "pidfd_open"):
            try:
                self._descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                raise
            except OSError:
                # Too many files are open. It runs all the same, and a thread can wait for it.
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
            # Such threads wait for long, and must not keep others from having one.
            limiter = anyio.CapacityLimiter(1)
            await in_thread(self._wait_in_thread, abandon_on_cancel=True, limiter=limiter)
        else:
            await anyio.wait_readable(self._descriptor)
        self._has_ended = True

    def has_ended(self) -> bool:
        """Whether the process is over."""
        if self._has_ended:
            return True
        if self._child and self._code is None:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return not is_alive(self.pid)

    def reap(self) -> int | None:
        """Take note of the end of a process that is over; more than once does no harm.

        Returns:
            its exit code, 128 + n if signal n ended it; None if it was not a child of this process.
        """
        if self._child and self._code is None:
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._code = code if code >= 0 else 128 - code
        return self._code

    def _wait_in_thread(self) -> None:
        import time

        if self._child:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        while is_alive(self.pid):
            time.sleep(0.1)

    async def end_group(self, grace: float) -> None:
        """End what there is of the process group: SIGTERM, `grace` seconds later SIGKILL.

        Call it after `wait` to end what a command left behind, or before to stop the command as well.
        """
        await end_group(self.pid, grace)


def spawn(
    attempt: str,
    working_dir: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    has_plan: bool = False,
    open_files: int | None = None,
) -> Process:
    """Start an attempt.

    This does not touch the working directory nor the program; the wrapper does, in its own time.

    Args:
        attempt: the path of the attempt's files, without their suffixes; its directory must exist.
        working_dir: where the command runs; an absolute path.
        arguments: the program and its arguments; or `wrapper.OWN_SHELL`, a shell command and its params.
        environment: all of the command's environment.
        has_plan: whether there is a plan for a checkout, or for what to do with outputs; see `checkout`.
        open_files: how many files the command may have open; None: as many as this process.

    Raises:
        attempt_locks.HeldError: it is running already.
        OSError: it cannot be started, for instance because the arguments are too long.
    """
    script = wrapper.with_plan() if has_plan else wrapper.PLAIN
    if open_files is not None:
        script = wrapper.open_files(open_files) + script
    own, restoring, arguments = handover.hand_over(environment, os.environ, working_dir, arguments)
    lock = attempt_locks.take(attempt)
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", script, "/bin/sh", attempt, working_dir, restoring, *arguments],
            own,
            file_actions=[
                *([] if lock is None else [(os.POSIX_SPAWN_DUP2, lock, attempt_locks.inherited_descriptor())]),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, 0, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_ALL_SIGNALS,
        )
    finally:
        if lock is not None:
            os.close(lock)
    return Process(pid, child=True)


def close_fence(attempt: str) -> bool:
    """Make sure that an attempt that has not begun never will.

    Returns:
        False if it has begun.

    Raises:
        OSError: it cannot be told, for instance because its directory is not there.
    """
    try:
        os.close(os.open(attempt + ".pid", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def restore_fence(attempt: str, running: Process) -> None:
    """Write the fence of a living process anew, so that its wrapper can append the exit code."""
    Path(attempt + ".pid").write_text(f"{running.pid}\n")


def read_fence(attempt: str) -> Fence | None:
    """Read what the wrapper wrote; None if it never came that far. Lines that are not whole do not count."""
    lines = _fence_lines(attempt)
    if lines is None:
        return None
    pid = _number(lines[0]) if lines else None
    code, _, remark = lines[1].partition(" ") if len(lines) > 1 else ("", "", "")
    exit_code = _number(code)
    is_garbled = (pid is None and bool(lines)) or (exit_code is None and len(lines) > 1)
    return Fence(pid, exit_code, remark, is_garbled)


def has_recorded(attempt: str, exit_code: int) -> bool:
    """Return True if the last that was written into the fence is this exit code, whatever stands before it."""
    lines = _fence_lines(attempt)
    if not lines:
        return False
    # Whoever else wrote last may have left the end of a line away; but a pid may end like an exit code.
    return lines[-1] == str(exit_code) or (not lines[-1].isdigit() and lines[-1].endswith(str(exit_code)))


def has_come_to_its_fence(attempt: str) -> bool:
    """Return False if an attempt whose wrapper is over has left nothing, although its lock is there.

    Its shell could not be loaded, or was killed at once. Whoever removes what a run has written removes the lock.
    """
    return any(os.path.exists(attempt + suffix) for suffix in (".pid", ".log")) or not os.path.exists(  # noqa: PTH110
        attempt + ".lock"
    )


def _fence_lines(attempt: str) -> list[str] | None:
    try:
        return Path(attempt + ".pid").read_text(errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return None
    except (IsADirectoryError, PermissionError):
        return ["not to be read"]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def fence_changed_at(attempt: str) -> float:
    """When the wrapper wrote into its fence last: once there is an exit code, when the attempt ended.

    Returns:
        seconds since the epoch; infinity if there is no fence any more.
    """
    try:
        return Path(attempt + ".pid").stat().st_mtime
    except OSError:
        return math.inf


def find(attempt: str, fence: Fence) -> Process | None:
    """Find the living process of an attempt of an earlier server; None if there is none.

    It is recognised by its command line, which names the attempt: a pid alone may have been given to another.
    """
    is_meant = partial(_is_wrapper, attempt=attempt)
    pids = _all_pids() if fence.pid is None else [fence.pid]
    return next(filter(None, (pinned(pid, is_meant) for pid in pids)), None)


def pinned(pid: int, is_meant: Callable[[int], bool]) -> Process | None:
    """Return the process of a pid; None if it is gone, or is not the one that is meant."""
    if not is_meant(pid):
        return None
    try:
        process = Process(pid, child=False)
    except ProcessLookupError:
        return None
    with contextlib.ExitStack() as stack:
        stack.enter_context(process)
        # Asked again with the process pinned: it might have ended, and its pid been given away, in between.
        if is_meant(pid):
            stack.pop_all()
            return process
    return None


def named_attempt(pid: int) -> bytes | None:
    """Return the path of the attempt that a wrapper has on its command line; None if no wrapper is to be seen."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except _NOT_OURS:
        return None
    # A fork of the wrapper that has not yet become the command looks the same, but leads no group.
    return arguments[4] if len(arguments) > 4 and group_of(pid) == pid else None


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is not just waiting to be reaped."""
    try:
        return _stat_fields(pid)[0] not in "ZX"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def command_pid(wrapper: int) -> int:
    """The pid of the command that a wrapper runs; the wrapper's own where that cannot be told."""
    try:
        children = Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split()
    except OSError:
        children = []
    return int(children[0]) if children else wrapper


def group_of(pid: int) -> int | None:
    """Return the process group of a process; None if it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def group_has_members(group: int) -> bool:
    """Whether any process of the group is alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if Path("/proc/self/stat").exists():
        return any(_is_live_member(pid, group) for pid in _all_pids())
    return True  # pragma: no cover - only where there is no /proc


def group_is_of(group: int, run_dir: str) -> bool:
    """Whether a process of the group carries `run_dir` in its environment, as all that a run starts does."""
    mark = os.fsencode(f"AQUEUE_RUN_DIR={run_dir}")
    return any(_is_live_member(pid, group) and mark in _environment_of(pid) for pid in _all_pids())


async def end_group(group: int, grace: float) -> None:
    """SIGTERM to every process of the group, and SIGKILL to those that are left after `grace` seconds."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return
        pause = 0.002
        with anyio.move_on_after(patience):
            # There is no descriptor to wait for a whole group with.
            while group_has_members(group):
                await anyio.sleep(pause)
                pause = min(pause * 1.5, 0.1)
            return


def _all_pids() -> list[int]:
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - names only
    except FileNotFoundError:  # pragma: no cover - only where there is no /proc
        return [int(pid) for pid in _ps("-A", "-o", "pid=").split()]


def _is_wrapper(pid: int, attempt: str) -> bool:
    named = named_attempt(pid)
    if named is None and not Path("/proc/self/stat").exists():
        return f" {attempt} " in _ps("-ww", "-o", "command=", "-p", str(pid))  # pragma: no cover - no /proc
    return named == os.fsencode(attempt)


def _is_live_member(pid: int, group: int) -> bool:
    try:
        state, _, member_of = _stat_fields(pid)[:3]
    except _NOT_OURS:
        return False
    return member_of == str(group) and state not in "ZX"


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except _NOT_OURS:
        return []


def _stat_fields(pid: int) -> list[str]:
    """State, parent, group and so on of a process; the name before them may hold anything, even blanks."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2].split()


def _ps(*arguments: str) -> str:  # pragma: no cover - only where there is no /proc
    return subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603 - no input
