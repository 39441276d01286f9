"""Processes and their groups, as /proc shows them."""

import contextlib
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.errors import EXHAUSTED
from aqueue.processes import stat_fields

_NOT_OURS: Final = (FileNotFoundError, ProcessLookupError, PermissionError)
"""The errors of /proc for a process that is gone or another user's, but not for a lack of open files."""

Identity = tuple[int, int]
"""The device and inode of a file."""

_STARTED: Final = 19
"""The place of a process's start among `stat_fields`."""


def named_attempt(pid: int) -> bytes | None:
    """Return the path of the attempt on the command line of a wrapper; None if it is not a wrapper."""
    named = attempt_among(command_line(pid))
    # A fork of the wrapper that has not yet become the command looks the same, but does not lead a group.
    return named if named is not None and group_of(pid) == pid else None


def attempt_among(words: list[bytes]) -> bytes | None:
    """Return the path of the attempt on the command line of a wrapper; None if it is too short for one."""
    return words[4] if len(words) > 4 else None


def command_line(pid: int) -> list[bytes]:
    """Return the words of a command line; none if the process is gone or ending."""
    try:
        line = _read(pid, "cmdline")
    except _NOT_OURS:
        return []
    return line.split(b"\0") if line else []


def environment_of(pid: int) -> dict[bytes, bytes]:
    """Return the variables that a process was started with; none if they cannot be read."""
    try:
        return dict(each.partition(b"=")[::2] for each in _read(pid, "environ").split(b"\0"))
    except _NOT_OURS:
        return {}


def open_files(pid: int) -> dict[str, str]:
    """Return the path of each descriptor, as the process sees it; none if they cannot be read.

    Only links are read: to query a file on a network may take long.
    """
    directory = f"/proc/{pid}/fd"
    links = {}
    try:
        for descriptor in os.listdir(directory):  # noqa: PTH208 - names only
            with contextlib.suppress(*_NOT_OURS):
                links[descriptor] = os.readlink(f"{directory}/{descriptor}")  # noqa: PTH115 - for each open file
    except _NOT_OURS:
        pass
    return links


def identity_of(pid: int, descriptor: str) -> Identity | None:
    """Return the identity of an open file; None if unknown.

    Raises:
        OSError: no more files can be opened for now.
    """
    try:
        status = Path(f"/proc/{pid}/fd/{descriptor}").stat()
    except OSError as error:
        # A file system that does not answer, such as one whose server is gone, reveals nothing.
        if error.errno in EXHAUSTED:
            raise
        return None
    return status.st_dev, status.st_ino


def is_locked_and_inherited(pid: int, descriptor: str) -> bool:
    """Return True if an open file has a flock(2) lock, and children inherit it."""
    try:
        text = _read(pid, f"fdinfo/{descriptor}").decode()
    except _NOT_OURS:
        return False
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return "FLOCK" in fields.get("lock", "") and not int(fields.get("flags", "0"), 8) & os.O_CLOEXEC


def command_pid(wrapper: int) -> int:
    """Return the pid of the command that a wrapper runs; the wrapper's own if unknown."""
    try:
        children = Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split()
    except OSError:
        children = []
    return int(children[0]) if children else wrapper


def catches(pid: int, number: int) -> bool:
    """Return True if a process catches the signal with this number."""
    try:
        lines = _read(pid, "status").splitlines()
    except _NOT_OURS:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith(b"SigCgt:")), b"0")
    return bool(int(caught, 16) >> (number - 1) & 1)


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
    """Return True if /proc shows the pids of this process's own namespace."""
    try:
        return Path("/proc/self").readlink().name == str(os.getpid())
    except OSError:
        return False


@cache
def own_namespace() -> str | None:
    """Return the name of the pid namespace of this process; None if the system has none."""
    return namespace_of("self")


def namespace_of(pid: "int | str") -> str | None:
    """Return the name of the pid namespace of a process; None if it cannot be read."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except _NOT_OURS:
        return None


class Numbers(NamedTuple):
    """The numbers of a process, its group and its session, in one pid namespace."""

    pid: int
    group: int
    session: int


class Standing(NamedTuple):
    """The numbers, the start and the state of a process.

    Attributes:
        here: its numbers in the namespace of this process.
        own: its numbers in its own namespace.
        started: its start in clock ticks since boot.
        state: its state as one letter.
    """

    here: Numbers
    own: Numbers
    started: int
    state: str

    @property
    def is_alive(self) -> bool:
        """Return True if it is not a zombie."""
        return self.state not in "ZX"


def standing(pid: int) -> Standing | None:
    """Return the numbers, start and state of a process; None if it is gone."""
    try:
        lines = _read(pid, "status").decode(errors="replace").splitlines()
        fields = stat_fields(pid)
    except _NOT_OURS:
        return None
    numbers = {name: row for name, *row in map(str.split, lines) if name in ("NSpid:", "NSpgid:", "NSsid:")}
    if len(numbers) < 3:  # pragma: no cover - Linux before 4.1
        return None
    here, own = (Numbers(*(int(row[place]) for row in numbers.values())) for place in (0, -1))
    return Standing(here, own, int(fields[_STARTED]), fields[0])


def is_attempt(pid: int, path: str, attempt: str) -> bool:
    """Return True if a path, as the process sees it, is that of an attempt, even across another mount."""
    (runs, *name), (own_runs, *own_name) = path.rsplit("/", 2), attempt.rsplit("/", 2)
    if name != own_name or not runs.startswith("/"):
        return False
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/root{runs}"), os.stat(own_runs))  # noqa: PTH116 - texts already
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
    if is_there():
        return any(_is_live_member(pid, group) for pid in all_pids())
    return True  # pragma: no cover - only where there is no /proc


def is_there() -> bool:
    """Return True if this system has a /proc with processes."""
    return Path("/proc/self/stat").exists()


def all_pids() -> list[int]:
    """Return the pids of all visible processes."""
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - names only
    except FileNotFoundError:  # pragma: no cover - only where there is no /proc
        return [int(pid) for pid in _ps("-A", "-o", "pid=").split()]


def is_wrapper(pid: int, attempt: str) -> bool:
    """Return True if a process has the command line of the wrapper of an attempt."""
    named = named_attempt(pid)
    if named is None and not is_there():
        return f" {attempt} " in _ps("-ww", "-o", "command=", "-p", str(pid))  # pragma: no cover - no /proc
    return named is not None and is_attempt(pid, os.fsdecode(named), attempt)


def _is_live_member(pid: int, group: int) -> bool:
    try:
        state, _, member_of = stat_fields(pid)[:3]
    except _NOT_OURS:
        return False
    return member_of == str(group) and state not in "ZX"


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123 - several for each process
        return file.read()


def _ps(*arguments: str) -> str:  # pragma: no cover - only where there is no /proc
    return subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603 - no input
