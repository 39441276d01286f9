"""The leftover processes of an attempt whose wrapper is gone.

A process belongs to an attempt if it holds the attempt's lock, has the attempt in its environment, writes to its
log, or is in the session or process group that the fence names. Each sign can be lost: Python's subprocess and
other programs close inherited files; `env -i` empties the environment; a daemon starts its own session. The system
does not reuse the number of a group or session while it has a member, but in another boot or pid namespace the
number means something else; the lock file records both (`attempt_locks.Origin`).
"""

import os
from typing import Final

from aqueue.clock import boot
from aqueue.executors.attempt_files import Fence
from aqueue.executors.local import attempt_locks, procfs
from aqueue.executors.local.process_table import ProcessTable
from aqueue.executors.local.procfs import Numbers

_INITIAL: Final = "pid:[4026531836]"
"""The initial pid namespace of the machine, which exists from boot to shutdown."""


def find(attempt: str, fence: Fence, table: ProcessTable) -> set[int]:
    """Return the pids of all visible processes of an attempt, without those of this process's session."""
    named = {
        pid for pid, numbers in _numbered(attempt, fence, table) if fence.pid in (numbers.group, numbers.session)
    }
    own = os.getsid(0)
    return {pid for pid in named | _signed(attempt, table) if procfs.session_of(pid) not in (own, None)}


def find_group(attempt: str, fence: Fence, table: ProcessTable) -> set[int]:
    """Return the pids of the processes in the process group that a fence names."""
    named = {pid for pid, numbers in _numbered(attempt, fence, table) if numbers.group == fence.pid}
    return named | {pid for pid in _signed(attempt, table) if procfs.group_of(pid) == fence.pid}


def groups_of(pids: set[int]) -> set[int]:
    """Return the process groups of some processes, without that of this process."""
    return {group for pid in pids if (group := procfs.group_of(pid)) is not None} - {os.getpgid(0)}


def _signed(attempt: str, table: ProcessTable) -> set[int]:
    """Return the processes that hold the lock, have the attempt in their environment, or write to its log."""
    return table.heirs(attempt) | table.holders(attempt) | table.writers(attempt)


def _numbered(attempt: str, fence: Fence, table: ProcessTable) -> list[tuple[int, Numbers]]:
    """Return the processes in the namespace of the wrapper, with the numbers that they have there."""
    origin = attempt_locks.origin(attempt)
    if fence.pid is None or origin is None or origin.boot != boot() or not procfs.sees_pids():
        return []
    is_here = origin.namespace == procfs.own_namespace()
    seen = [
        (each, each.standing, each.standing.here if is_here else each.standing.own)
        for each in table
        if each.standing is not None and (is_here or each.namespace == origin.namespace)
    ]
    by_number = {numbers.pid: (each, standing) for each, standing, numbers in seen}
    first, leader = by_number.get(1), by_number.get(fence.pid)
    # The names of namespaces are reused, too.
    if origin.namespace != _INITIAL and (first is None or first[1].started > origin.ticks):
        return []
    # The wrapper is gone. Unless this is its zombie, the pid was reused, so no process of the group is left.
    if leader is not None and leader[1].is_alive and leader[0].words:
        return []
    return [
        (each.pid, numbers)
        for each, standing, numbers in seen
        if standing.is_alive and standing.started >= origin.ticks
    ]
