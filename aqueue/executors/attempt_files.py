"""The files of an attempt: the fence, which says that it began and how it ended."""

import contextlib
import math
import os
from pathlib import Path
from typing import Final

import msgspec

from aqueue.folder import no_links

_MAX_FENCE: Final = 1 << 16


class Fence(msgspec.Struct, frozen=True):
    """The contents of an attempt's `.pid` file.

    Attributes:
        pid: the pid of the wrapper, which leads the process group; None before it is written.
        exit_code: the exit code of the command, once it is over.
        remark: why the wrapper did not run the command; or `wrapper.UNFINISHED`.
        is_garbled: whether it has lines that no wrapper writes, because another process changed it.
    """

    pid: int | None
    exit_code: int | None
    remark: str = ""
    is_garbled: bool = False


def close_fence(attempt: str) -> bool:
    """Make sure that an attempt that has not begun never will.

    Returns:
        False if it has begun.

    Raises:
        OSError: the fence cannot be created, for instance because its directory does not exist.
    """
    try:
        os.close(os.open(attempt + ".pid", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def restore_fence(attempt: str, pid: int) -> None:
    """Rewrite the fence of a living process, so that its wrapper can append the exit code.

    This replaces anything at its path: a link is not followed, and a directory is renamed.
    """
    fence, new = Path(attempt + ".pid"), Path(f"{attempt}.pid.{os.urandom(4).hex()}")
    with open(new, "x", opener=no_links.opener) as file:
        file.write(f"{pid}\n")
    try:
        new.replace(fence)
    except IsADirectoryError:
        fence.rename(f"{new}.was")
        new.replace(fence)


def remove_links(attempt: str) -> None:
    """Remove symbolic links at the paths of the files of an attempt that is about to begin."""
    for suffix in (".log", ".pid", ".lock", ".plan", ".metrics.json"):
        no_links.remove(attempt + suffix)


def read_fence(attempt: str) -> Fence | None:
    """Read the fence; None if there is none. Incomplete lines do not count.

    Of several lines after the pid, only the last is the wrapper's: it outlives its command.
    """
    lines = _fence_lines(attempt)
    if lines is None:
        return None
    pid = (_number(lines[0]) or None) if lines else None
    code, _, remark = lines[-1].partition(" ") if len(lines) > 1 else ("", "", "")
    exit_code = _number(code)
    is_garbled = (pid is None and bool(lines)) or (exit_code is None and len(lines) > 1)
    return Fence(pid, exit_code, remark, is_garbled)


def read_closed_fence(attempt: str) -> Fence:
    """Read a fence that was closed; it has an exit code if the files of a living wrapper had been removed."""
    lines = _fence_lines(attempt) or []
    code, _, remark = lines[-1].partition(" ") if lines else ("", "", "")
    exit_code = _number(code)
    return Fence(None, exit_code, remark, is_garbled=bool(lines) and exit_code is None)


def has_recorded(attempt: str, exit_code: int) -> bool:
    """Return True if the fence ends with this exit code, whatever precedes it."""
    lines = _fence_lines(attempt)
    if not lines:
        return False
    # Another process may have written a line without its end; but a pid may end like an exit code.
    return lines[-1] == str(exit_code) or (not lines[-1].isdigit() and lines[-1].endswith(str(exit_code)))


def has_come_to_its_fence(attempt: str) -> bool:
    """Return False if an attempt whose wrapper is over left only its lock.

    Its shell could not be loaded, or was killed at once. Removing the files of a run removes the lock, too.
    """
    return any(_is_there(attempt + suffix) for suffix in (".pid", ".log")) or not _is_there(attempt + ".lock")


def _is_there(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - a text already


def _fence_lines(attempt: str) -> list[str] | None:
    try:
        with open(attempt + ".pid", errors="replace", opener=_open_to_read) as file:
            return file.read(_MAX_FENCE).split("\n")[:-1]
    except FileNotFoundError:
        return None
    except OSError as error:
        if isinstance(error, IsADirectoryError | PermissionError) or no_links.is_refused(error):
            return ["not to be read"]
        raise


def _open_to_read(path: str, flags: int) -> int:
    # A pipe in its place may never have a writer.
    return no_links.opener(path, flags | os.O_NONBLOCK)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def remove(attempt: str) -> None:
    """Remove the files of an attempt whose command never began, and never can."""
    for suffix in (".plan", ".log", ".pid", ".lock"):
        # Leftover files do no harm.
        with contextlib.suppress(OSError):
            os.unlink(attempt + suffix)  # noqa: PTH108 - a text already


def ended_at(attempt: str, started_at: float | None, now: float) -> float:
    """Return when an attempt wrote its exit code, by the current clock.

    The clock may have been set since the attempt began, before or after its end. Files have the time of the clock
    when they were written; the lock, which is as old as the attempt, shows the difference.

    Args:
        attempt: the path of its files, without their suffixes.
        started_at: the start of the attempt, by the current clock; None if unknown.
        now: the current time.
    """
    written = _changed_at(attempt + ".pid")
    if started_at is None:
        return min(written, now)
    moved = written + started_at - _changed_at(attempt + ".lock")
    possible = (moment for moment in (written, moved) if started_at <= moment <= now)
    return next(possible, min(max(written, started_at), now))


def _changed_at(path: str) -> float:
    """Return when a file was last written, in seconds since the epoch; infinity if it is gone."""
    try:
        return Path(path).lstat().st_mtime
    except OSError:
        return math.inf
