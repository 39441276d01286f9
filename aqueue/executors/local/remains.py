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
from aqueue.executors.local.process_table import ProcessTable
from aqueue.executors.local.procfs import Numbers

_INITIAL: Final = "pid:[4026531836]"
"""The pid namespace of the machine itself, which is there from beginning to end."""


def find(attempt: str, fence: Fence, table: ProcessTable) -> set[int]:
    """Return the pids of all that can be seen of an attempt; none of the session that asks."""
    named = {
        pid for pid, numbers in _numbered(attempt, fence, table) if fence.pid in (numbers.group, numbers.session)
    }
    own = os.getsid(0)
    return {pid for pid in named | _signed(attempt, table) if procfs.session_of(pid) not in (own, None)}


def find_group(attempt: str, fence: Fence, table: ProcessTable) -> set[int]:
    """Return the pids of those that are in the process group which a fence names."""
    named = {pid for pid, numbers in _numbered(attempt, fence, table) if numbers.group == fence.pid}
    return named | {pid for pid in _signed(attempt, table) if procfs.group_of(pid) == fence.pid}


def groups_of(pids: set[int]) -> set[int]:
    """Return the process groups of these, as they are numbered here, without that of this process."""
    return {group for pid in pids if (group := procfs.group_of(pid)) is not None} - {os.getpgid(0)}


def _signed(attempt: str, table: ProcessTable) -> set[int]:
    """Return those that hold the lock, have the attempt in their environment, or write to its log."""
    return table.heirs(attempt) | table.holders(attempt) | table.writers(attempt)


def _numbered(attempt: str, fence: Fence, table: ProcessTable) -> list[tuple[int, Numbers]]:
    """Return those among which a number in the fence means what it meant to the wrapper, with theirs."""
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
    # The names of namespaces are given out again as well.
    if origin.namespace != _INITIAL and (first is None or first[1].started > origin.ticks):
        return []
    # The wrapper is gone: if this is no corpse, the number is another's by now, and nobody of the attempt is left.
    if leader is not None and leader[1].is_alive and leader[0].words:
        return []
    return [
        (each.pid, numbers)
        for each, standing, numbers in seen
        if standing.is_alive and standing.started >= origin.ticks
    ]
