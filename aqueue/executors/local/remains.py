"""The processes that are left of an attempt whose wrapper is gone.

A process belongs to an attempt if it holds the attempt's lock, has the attempt in its environment or its log for
standard output or error, or is in the session or process group that the fence names. Each sign can be lost:
programs close files that they have not opened, as Python's subprocess does; `env -i` empties the environment; a
daemon makes a session of its own. The system gives the number of a group or session to nobody else as long as it
has a member, but in another boot or pid namespace it is another's. From where an attempt was started, its lock
file tells (`attempt_locks.Origin`).
"""

import os
from typing import Final

from aqueue.clock import boot
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import attempt_locks, procfs
from aqueue.executors.local.procfs import Standing

_INITIAL: Final = "pid:[4026531836]"
"""The pid namespace of the machine itself, which is there from beginning to end."""


def find(attempt: str, fence: Fence) -> set[int]:
    """Return the pids of all that can be seen of an attempt; none of the session that asks."""
    named = {each.pid for each in _numbered(attempt, fence) if fence.pid in (each.group, each.session)}
    own = os.getsid(0)
    return {pid for pid in named | _signed(attempt) if procfs.session_of(pid) not in (own, None)}


def find_group(attempt: str, fence: Fence) -> set[int]:
    """Return the pids of those that are in the process group which a fence names."""
    named = {each.pid for each in _numbered(attempt, fence) if each.group == fence.pid}
    return named | {pid for pid in _signed(attempt) if procfs.group_of(pid) == fence.pid}


def groups_of(pids: set[int]) -> set[int]:
    """Return the process groups of these, as they are numbered here, without that of this process."""
    return {group for pid in pids if (group := procfs.group_of(pid)) is not None} - {os.getpgid(0)}


def _signed(attempt: str) -> set[int]:
    """Return those that hold the lock, have the attempt in their environment, or write to its log."""
    marked = {pid for pid in procfs.all_pids() if procfs.has_in_environment(pid, attempt)}
    return marked | set(attempt_locks.holders(attempt)) | _writers(attempt)


def _writers(attempt: str) -> set[int]:
    """Return those whose standard output or error is the attempt's log."""
    try:
        status = os.lstat(attempt + ".log")
    except FileNotFoundError:
        return set()
    log = status.st_dev, status.st_ino
    return {pid for pid in procfs.all_pids() if any(procfs.has_open(pid, number, log) for number in (1, 2))}


def _numbered(attempt: str, fence: Fence) -> list[Standing]:
    """Return those among which a number in the fence means what it meant to the wrapper."""
    origin = attempt_locks.origin(attempt)
    if fence.pid is None or origin is None or origin.boot != boot() or not procfs.sees_pids():
        return []
    is_here = origin.namespace == procfs.own_namespace()
    pids = [pid for pid in procfs.all_pids() if is_here or procfs.namespace_of(pid) == origin.namespace]
    seen = [found for pid in pids if (found := procfs.standing(pid, is_here=is_here))]
    by_number = {each.number: each for each in seen}
    first, leader = by_number.get(1), by_number.get(fence.pid)
    # The names of namespaces are given out again as well.
    if origin.namespace != _INITIAL and (first is None or first.started > origin.ticks):
        return []
    # The wrapper is gone: if this is no corpse, the number is another's by now, and nobody of the attempt is left.
    if leader is not None and leader.is_alive and procfs.has_command_line(leader.pid):
        return []
    return [each for each in seen if each.is_alive and each.started >= origin.ticks]
