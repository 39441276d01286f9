"""What /proc tells of processes and their groups."""

import os
import subprocess
from pathlib import Path
from typing import Final

_NOT_OURS: Final = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What /proc says of a process that is gone, or another user's; where files have run out, it says nothing."""


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
