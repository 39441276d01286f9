"""The process table: all processes, read once, with the signs of the attempt that each belongs to."""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

import anyio

from aqueue.executors.local import attempt_locks, procfs
from aqueue.executors.local.attempt_locks import OpenLock
from aqueue.executors.local.procfs import Identity, Standing

_LOGS: Final = (".log", ".log (deleted)")


class Entry(NamedTuple):
    """One process.

    Attributes:
        pid: its pid in this namespace.
        words: the words of its command line; none if it is ending.
        attempt: the path of the attempt in its environment; empty if there is none.
        locks: the locks that it holds.
        logs: the logs that are its standard output or error.
        namespace: the name of its pid namespace; None if unknown.
        standing: None if it is gone.
    """

    pid: int
    words: list[bytes]
    attempt: str
    locks: list[OpenLock]
    logs: list[Identity]
    namespace: str | None
    standing: Standing | None


class ProcessTable:
    """All processes that were visible when the table was read."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def wrappers(self, attempt: str) -> set[int]:
        """Return the pids of processes that may be the wrapper of an attempt, by their command lines."""
        if not procfs.is_there():
            return {each.pid for each in self._entries}  # pragma: no cover - only where there is no /proc
        name = os.fsencode(attempt.rpartition("/")[2])
        return {each.pid for each in self._entries if (procfs.attempt_among(each.words) or b"").endswith(name)}

    def holders(self, attempt: str) -> set[int]:
        """Return the pids of processes that hold the lock of an attempt."""
        return {each.pid for each in self._entries if attempt_locks.is_among(each.locks, attempt)}

    def heirs(self, attempt: str) -> set[int]:
        """Return the pids of processes with an attempt in their environment, which its children inherit."""
        return {each.pid for each in self._entries if procfs.is_attempt(each.pid, each.attempt, attempt)}

    def writers(self, attempt: str) -> set[int]:
        """Return the pids of processes whose standard output or error is the log of an attempt."""
        try:
            status = os.lstat(attempt + ".log")
        except FileNotFoundError:
            return set()
        return {each.pid for each in self._entries if (status.st_dev, status.st_ino) in each.logs}


class SharedTable:
    """Readings of the table, shared by concurrent searches."""

    def __init__(self) -> None:
        self._last: ProcessTable | None = None

    async def read(self) -> ProcessTable:
        """Return a table that is read after this call; concurrent calls get the same one."""
        before = self._last
        await anyio.sleep(0)
        if self._last is None or self._last is before:
            self._last = read()
        return self._last


def read() -> ProcessTable:
    """Read the table.

    Raises:
        OSError: no more files can be opened for now.
    """
    sees_pids = procfs.sees_pids()
    entries: dict[int, Entry] = {}
    # Twice: a process may have forked and ended before it was read.
    for _ in range(2):
        for pid in procfs.all_pids():
            if pid not in entries:
                entries[pid] = _entry(pid, has_locks=sees_pids and pid != os.getpid())
    return ProcessTable(list(entries.values()))


def _entry(pid: int, *, has_locks: bool) -> Entry:
    files = procfs.open_files(pid)
    outputs = [number for number in ("1", "2") if files.get(number, "").endswith(_LOGS)]
    identities = [procfs.identity_of(pid, number) for number in outputs]
    variables = procfs.environment_of(pid)
    directory, number = variables.get(b"AQUEUE_RUN_DIR", b""), variables.get(b"AQUEUE_ATTEMPT", b"")
    return Entry(
        pid=pid,
        words=procfs.command_line(pid),
        attempt=os.fsdecode(directory + b"/attempt-" + number),
        locks=attempt_locks.open_locks(pid, files) if has_locks else [],
        logs=[each for each in identities if each is not None],
        namespace=procfs.namespace_of(pid),
        standing=procfs.standing(pid),
    )
