"""The adoption of an attempt of an earlier server, which is found by the lock that it holds while it lives."""

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
    """The search for one attempt that has a fence.

    Args:
        attempt: the path of the attempt's files, without their suffixes.
        grace: seconds between SIGTERM and SIGKILL for the processes that a killed wrapper leaves behind.
        is_unwanted: returns True if the attempt is to be stopped, by a user or by its timeout.
        warn: is called with the reason when the attempt cannot be stopped, only waited for.
        processes: the process table, shared with other searches.
        has_closed: the fence was made by this process, so the attempt never began, or somebody removed its files.
    """

    def __init__(
        self,
        attempt: str,
        grace: float,
        is_unwanted: Callable[[], bool],
        warn: Callable[[str], None],
        processes: SharedTable,
        *,
        has_closed: bool = False,
    ) -> None:
        self._attempt = attempt
        self._grace = grace
        self._is_unwanted = is_unwanted
        self._warn = warn
        self._processes = processes
        self._has_closed = has_closed
        self._has_warned = False
        self._has_seen = False
        self._pid: int | None = None

    async def settle(self) -> Process | Fence:
        """Wait until it is certain whether the attempt is still running.

        Processes that lost their wrapper are ended first, or waited for if they cannot be signalled: the run must
        not start again while they live.

        Returns:
            the wrapper, alive and with its command begun; or the fence of an attempt that is over, empty if the
            command never began.
        """
        pause = _SHORTEST_PAUSE
        while True:
            # In this order, so that everything written while the lock was held is read.
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
                # Only leftover processes still hold the lock; the attempt itself is over.
                return fence
            elif not await self._clear(fence, table) and not is_held and self._read_fence() == fence:
                return fence
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _has_begun(self, wrapper: Process, fence: Fence, table: ProcessTable) -> bool:
        """Return True if a wrapper is past its fence; restore the fence if it has no pid."""
        if fence.pid is not None or self._pid is not None:
            self._pid = self._pid or fence.pid
            return True
        # The wrapper forks nothing before it writes the fence.
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
        # An attempt that has begun stays so, whatever the file says now.
        return msgspec.structs.replace(fence, is_garbled=True) if has_begun else fence

    async def _clear(self, fence: Fence, table: ProcessTable) -> bool:
        """End all visible processes of an attempt that lost its wrapper.

        Returns:
            True if there were any.
        """
        groups = remains.groups_of(remains.find(self._attempt, fence, table))
        for group in groups:
            self._has_seen = True
            await process.end_group(group, self._grace)
        is_out_of_reach = not groups or any(map(procfs.group_has_members, groups))
        if is_out_of_reach and not self._has_warned and self._is_unwanted():
            self._has_warned = True
            self._warn(
                "cannot be stopped from here, because its process belongs to another user or runs in a container;"
                " the server waits until it ends"
            )
        return bool(groups)


def find_by_pid(attempt: str, fence: Fence) -> Process | None:
    """Find the living wrapper of an attempt by the pid in its fence, if it has the lock.

    Its pid differs in another pid namespace.
    """
    return None if fence.pid is None else process.pinned(fence.pid, _has_lock(attempt))


def find_in(table: ProcessTable, attempt: str, fence: Fence) -> Process | None:
    """Find the living wrapper of an attempt by its lock, whatever the path of its files.

    Without a lock, find it by its command line.

    Returns:
        its process; None if there is none, or it is not visible here.
    """
    by_lock = process.first_pinned(table.holders(attempt), _has_lock(attempt))
    return by_lock or process.find(attempt, fence, table.wrappers(attempt))


def _has_lock(attempt: str) -> Callable[[int], bool]:
    return partial(_is_wrapper_with_lock, attempt=attempt)


def _is_wrapper_with_lock(pid: int, attempt: str) -> bool:
    """Return True if a process is the wrapper of this run and attempt, in any folder, and holds its lock."""
    name = os.fsencode("/" + "/".join(attempt.split("/")[-2:]))
    named = procfs.named_attempt(pid) or b""
    is_wrapper = named.endswith(name) or parking.is_name(named)
    return is_wrapper and attempt_locks.is_holder(pid, attempt)
