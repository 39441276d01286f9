"""Processes and their groups, as /proc shows them."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_NOT_OURS: Final = (FileNotFoundError, ProcessLookupError, PermissionError)
"""The errors of /proc for a process that is gone, or another user's; not those where files have run out."""

_STARTED: Final = 19
"""The place of a process's start among `_stat_fields`."""


def named_attempt(pid: int) -> bytes | None:
    """Return the path of the attempt that a wrapper has on its command line; None if no wrapper is to be seen."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except _NOT_OURS:
        return None
    # A fork of the wrapper that has not yet become the command looks the same, but leads no group.
    return arguments[4] if len(arguments) > 4 and group_of(pid) == pid else None


def is_alive(pid: int) -> bool:
    """Return True if there is such a process, and it is not just waiting to be reaped."""
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
    """Return the pid of the command that a wrapper runs; the wrapper's own where that cannot be told."""
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


def session_of(pid: int) -> int | None:
    """Return the session of a process; None if it is gone."""
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def sees_pids() -> bool:
    """Return True if the pids in /proc are those of this process's own namespace."""
    try:
        return Path("/proc/self").readlink().name == str(os.getpid())
    except OSError:
        return False


@cache
def own_namespace() -> str | None:
    """Return the name of the pid namespace of this process; None where there are none."""
    return namespace_of("self")


def namespace_of(pid: "int | str") -> str | None:
    """Return the name of the pid namespace of a process; None if it cannot be seen."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except _NOT_OURS:
        return None


class Standing(NamedTuple):
    """The numbers of a process, its group and its session, in one pid namespace.

    Attributes:
        pid: as it is seen from here.
        number: its pid in that namespace.
        started: in ticks since the machine was started.
        state: one letter.
    """

    pid: int
    number: int
    group: int
    session: int
    started: int
    state: str

    @property
    def is_alive(self) -> bool:
        """Return True if it is not just waiting to be reaped."""
        return self.state not in "ZX"


def standing(pid: int, *, is_here: bool) -> Standing | None:
    """Return where a process stands in the namespace of this process, or in its own; None if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
        fields = _stat_fields(pid)
    except _NOT_OURS:
        return None
    numbers = {name: row for name, *row in map(str.split, lines) if name in ("NSpid:", "NSpgid:", "NSsid:")}
    if len(numbers) < 3:  # pragma: no cover - Linux before 4.1
        return None
    number, group, session = (int(row[0 if is_here else -1]) for row in numbers.values())
    return Standing(pid, number, group, session, int(fields[_STARTED]), fields[0])


def has_command_line(pid: int) -> bool:
    """Return True unless a process is gone, or about to be."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except _NOT_OURS:
        return False


def has_open(pid: int, descriptor: int, identity: tuple[int, int]) -> bool:
    """Return True if a process has a file open under that number.

    Args:
        identity: the device and inode of the file.
    """
    try:
        status = Path(f"/proc/{pid}/fd/{descriptor}").stat()
    except _NOT_OURS:
        return False
    return (status.st_dev, status.st_ino) == identity


def has_in_environment(pid: int, attempt: str) -> bool:
    """Return True if a process has an attempt in its environment, as all have that it starts."""
    variables = dict(each.partition(b"=")[::2] for each in _environment_of(pid))
    directory, number = variables.get(b"AQUEUE_RUN_DIR", b""), variables.get(b"AQUEUE_ATTEMPT", b"")
    return is_attempt(pid, os.fsdecode(directory + b"/attempt-" + number), attempt)


def is_attempt(pid: int, path: str, attempt: str) -> bool:
    """Return True if a path leads a process to an attempt, be it over another mount."""
    (runs, *name), (own_runs, *own_name) = path.rsplit("/", 2), attempt.rsplit("/", 2)
    if name != own_name or not runs.startswith("/"):
        return False
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/root{runs}"), os.stat(own_runs))  # noqa: PTH116 - texts
    except PermissionError:
        return runs == own_runs
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return False


def group_has_members(group: int) -> bool:
    """Return True if any process of the group is alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if Path("/proc/self/stat").exists():
        return any(_is_live_member(pid, group) for pid in all_pids())
    return True  # pragma: no cover - only where there is no /proc


def all_pids() -> list[int]:
    """Return the pids of all processes that can be seen."""
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - names only
    except FileNotFoundError:  # pragma: no cover - only where there is no /proc
        return [int(pid) for pid in _ps("-A", "-o", "pid=").split()]


def _is_wrapper(pid: int, attempt: str) -> bool:
    named = named_attempt(pid)
    if named is None and not Path("/proc/self/stat").exists():
        return f" {attempt} " in _ps("-ww", "-o", "command=", "-p", str(pid))  # pragma: no cover - no /proc
    return named is not None and is_attempt(pid, os.fsdecode(named), attempt)


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
