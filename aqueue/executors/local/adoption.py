"""Find out what has become of an attempt of an earlier server, by the lock that it holds while it lives."""

import os
from collections.abc import Callable
from functools import partial

import anyio
import msgspec

from aqueue.executors import attempt_files
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import attempt_locks, parking, process, procfs, remains
from aqueue.executors.local.process import Process
from aqueue.executors.local.process_table import ProcessTable, SharedTable

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Adoption:
    """The search for one attempt, whose fence is there.

    Args:
        attempt: the path of the attempt's files, without their suffixes.
        grace: seconds between SIGTERM and SIGKILL for what a killed wrapper has left.
        is_unwanted: says whether somebody, or a timeout, wants the attempt stopped.
        tell: takes the words that say why there is nothing to do but wait.
        processes: the table that other searches read, too.
        has_closed: the fence was made by this process, so the attempt never began, or somebody removed its files.
    """

    def __init__(
        self,
        attempt: str,
        grace: float,
        is_unwanted: Callable[[], bool],
        tell: Callable[[str], None],
        processes: SharedTable,
        *,
        has_closed: bool = False,
    ) -> None:
        self._attempt = attempt
        self._grace = grace
        self._is_unwanted = is_unwanted
        self._tell = tell
        self._processes = processes
        self._has_closed = has_closed
        self._has_told = False
        self._has_seen = False
        self._pid: int | None = None

    async def settle(self) -> Process | Fence:
        """Wait until it is certain whether the attempt goes on.

        What has lost its wrapper is ended first, and waited for where it cannot be reached: nothing else may run
        in its place as long as it lives.

        Returns:
            the wrapper, alive and with its command begun; or the fence of an attempt that is over, empty if the
            command never began.
        """
        pause = _SHORTEST_PAUSE
        while True:
            # In this order: whatever was written while the lock was held is read.
            is_held = attempt_locks.is_held(self._attempt)
            fence = self._read_fence()
            if not is_held and fence.exit_code is not None:
                return fence
            wrapper = find_by_pid(self._attempt, fence)
            if wrapper is not None:
                self._pid = self._pid or fence.pid
                return wrapper
            table = await self._processes.read()
            wrapper = find_in(table, self._attempt, fence)
            if wrapper is not None:
                if self._has_begun(wrapper, fence, table):
                    return wrapper
                wrapper.__exit__()
            elif fence.exit_code is not None:
                # What still holds the lock has left the attempt behind.
                return fence
            elif not await self._clear(fence, table) and not is_held and self._read_fence() == fence:
                return fence
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _has_begun(self, wrapper: Process, fence: Fence, table: ProcessTable) -> bool:
        """Return True if a wrapper is past its fence, and see to it that the fence can take an exit code."""
        if fence.pid is not None or self._pid is not None:
            self._pid = self._pid or fence.pid
            return True
        # It forks nothing before that.
        if procfs.command_pid(wrapper.pid) == wrapper.pid and len(table.holders(self._attempt)) < 2:
            return False
        fence = attempt_files.read_fence(self._attempt) or Fence(None, None)
        if fence.pid is None:
            attempt_files.restore_fence(self._attempt, wrapper.pid)
            fence = Fence(wrapper.pid, None)
        self._pid = fence.pid
        return True

    def _read_fence(self) -> Fence:
        if self._has_closed and self._pid is None:
            fence = attempt_files.read_closed_fence(self._attempt)
            has_begun = self._has_seen and fence.exit_code is None
        else:
            fence = attempt_files.read_fence(self._attempt) or Fence(None, None)
            has_begun = self._pid not in (None, fence.pid) or (self._has_seen and fence.pid is None)
        # If it has begun it has, whatever the file says now.
        return msgspec.structs.replace(fence, is_garbled=True) if has_begun else fence

    async def _clear(self, fence: Fence, table: ProcessTable) -> bool:
        """End all that can be seen of an attempt that has lost its wrapper.

        Returns:
            True if there was anything.
        """
        groups = remains.groups_of(remains.find(self._attempt, fence, table))
        for group in groups:
            self._has_seen = True
            await process.end_group(group, self._grace)
        is_out_of_reach = not groups or any(map(procfs.group_has_members, groups))
        if is_out_of_reach and not self._has_told and self._is_unwanted():
            self._has_told = True
            self._tell(
                "cannot be stopped from here: its process is another user's, or in a container;"
                " it is waited for until it ends"
            )
        return bool(groups)


def find_by_pid(attempt: str, fence: Fence) -> Process | None:
    """Find the living wrapper of an attempt by the pid in its fence, if it has the lock.

    In another pid namespace it has another pid.
    """
    return None if fence.pid is None else process.pinned(fence.pid, _has_lock(attempt))


def find_in(table: ProcessTable, attempt: str, fence: Fence) -> Process | None:
    """Find the living wrapper of an attempt by the lock that it holds, however its files are reached.

    Where there is no lock, it is found by its command line.

    Returns:
        its process; None if there is none, or none to be seen from here.
    """
    by_lock = process.first_pinned(table.holders(attempt), _has_lock(attempt))
    return by_lock or process.find(attempt, fence, table.wrappers(attempt))


def _has_lock(attempt: str) -> Callable[[int], bool]:
    return partial(_is_wrapper_with_lock, attempt=attempt)


def _is_wrapper_with_lock(pid: int, attempt: str) -> bool:
    """Return True if a process holds the lock, as the wrapper of this run and number in whatever folder."""
    name = os.fsencode("/" + "/".join(attempt.split("/")[-2:]))
    named = procfs.named_attempt(pid) or b""
    is_wrapper = named.endswith(name) or parking.is_name(named)
    return is_wrapper and attempt_locks.is_holder(pid, attempt)
