"""Find out what has become of an attempt of an earlier server, by the lock that it holds while it lives."""

import os
from collections.abc import Callable
from functools import partial

import anyio
import msgspec

from aqueue.executors import attempt_files
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import attempt_locks, process, procfs, remains
from aqueue.executors.local.process import Process

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Adoption:
    """The search for one attempt, whose fence is there.

    Args:
        attempt: the path of the attempt's files, without their suffixes.
        grace: seconds between SIGTERM and SIGKILL for what a killed wrapper has left.
        is_unwanted: says whether somebody, or a timeout, wants the attempt stopped.
        tell: takes the words that say why there is nothing to do but wait.
        has_closed: the fence was made by this process, so the attempt never began, or somebody removed its files.
    """

    def __init__(
        self,
        attempt: str,
        grace: float,
        is_unwanted: Callable[[], bool],
        tell: Callable[[str], None],
        *,
        has_closed: bool = False,
    ) -> None:
        self._attempt = attempt
        self._grace = grace
        self._is_unwanted = is_unwanted
        self._tell = tell
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
            wrapper = find_wrapper(self._attempt, fence)
            if wrapper is not None:
                if self._has_begun(wrapper, fence):
                    return wrapper
                wrapper.__exit__()
            elif fence.exit_code is not None:
                # What still holds the lock has left the attempt behind.
                return fence
            elif not await self._clear(fence) and not is_held and self._read_fence() == fence:
                return fence
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _has_begun(self, wrapper: Process, fence: Fence) -> bool:
        """Return True if a wrapper is past its fence, and see to it that the fence can take an exit code."""
        if fence.pid is not None or self._pid is not None:
            self._pid = self._pid or fence.pid
            return True
        # It forks nothing before that.
        if procfs.command_pid(wrapper.pid) == wrapper.pid and len(attempt_locks.holders(self._attempt)) < 2:
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

    async def _clear(self, fence: Fence) -> bool:
        """End all that can be seen of an attempt that has lost its wrapper.

        Returns:
            whether there was anything.
        """
        groups = remains.groups_of(remains.find(self._attempt, fence))
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


def find_wrapper(attempt: str, fence: Fence) -> Process | None:
    """Find the living wrapper of an attempt, by its lock or by its command line where there is no lock."""
    return find_holder(attempt, fence) or process.find(attempt, fence)


def find_holder(attempt: str, fence: Fence) -> Process | None:
    """Find the living wrapper of an attempt by the lock that it holds, however its files are reached.

    Returns:
        its process; None if there is none, or none to be seen from here.
    """
    is_meant = partial(_is_wrapper_with_lock, attempt=attempt)
    if fence.pid is not None and (found := process.pinned(fence.pid, is_meant)):
        return found
    # In another pid namespace it has another pid.
    holders = attempt_locks.holders(attempt)
    return next(filter(None, (process.pinned(pid, is_meant) for pid in holders)), None)


def _is_wrapper_with_lock(pid: int, attempt: str) -> bool:
    """Return True if a process holds the lock, as the wrapper of this run and number in whatever folder."""
    name = os.fsencode("/" + "/".join(attempt.split("/")[-2:]))
    return (procfs.named_attempt(pid) or b"").endswith(name) and attempt_locks.is_holder(pid, attempt)
