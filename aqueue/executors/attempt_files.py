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
        pid: of the wrapper, which leads the process group; None in the instant before it is written.
        exit_code: of the command, once it is over.
        remark: why the command was not run although there was nothing in the way; or `wrapper.UNFINISHED`.
        is_garbled: it has lines that no wrapper writes; somebody else has changed it.
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
        OSError: it cannot be told, for instance because its directory is not there.
    """
    try:
        os.close(os.open(attempt + ".pid", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def restore_fence(attempt: str, pid: int) -> None:
    """Write the fence of a living process anew, so that its wrapper can append the exit code.

    Whatever stands in its place gives way: a link is not followed, and a directory is renamed.
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
    """Remove the links that somebody has put where the files of an attempt that is about to begin are to be."""
    for suffix in (".log", ".pid", ".lock", ".plan", ".metrics.json"):
        no_links.remove(attempt + suffix)


def read_fence(attempt: str) -> Fence | None:
    """Read what the wrapper wrote; None if it never came that far. Lines that are not whole do not count.

    Of several lines after the pid, somebody else has written all but the last: the wrapper outlives its command.
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
    """Read what came into a fence after it was closed: the exit code of a wrapper whose files somebody removed."""
    lines = _fence_lines(attempt) or []
    code, _, remark = lines[-1].partition(" ") if lines else ("", "", "")
    exit_code = _number(code)
    return Fence(None, exit_code, remark, is_garbled=bool(lines) and exit_code is None)


def has_recorded(attempt: str, exit_code: int) -> bool:
    """Return True if the last that was written into the fence is this exit code, whatever stands before it."""
    lines = _fence_lines(attempt)
    if not lines:
        return False
    # Whoever else wrote last may have left the end of a line away; but a pid may end like an exit code.
    return lines[-1] == str(exit_code) or (not lines[-1].isdigit() and lines[-1].endswith(str(exit_code)))


def has_come_to_its_fence(attempt: str) -> bool:
    """Return False if an attempt whose wrapper is over has left nothing, although its lock is there.

    Its shell could not be loaded, or was killed at once. Whoever removes what a run has written removes the lock.
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
    # Nobody may ever write to what has been put in its place.
    return no_links.opener(path, flags | os.O_NONBLOCK)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def remove(attempt: str) -> None:
    """Remove the files of an attempt whose command never began, and that nobody can start any more."""
    for suffix in (".plan", ".log", ".pid", ".lock"):
        # What cannot be removed now only lies there.
        with contextlib.suppress(OSError):
            os.unlink(attempt + suffix)  # noqa: PTH108 - a text already


def ended_at(attempt: str, started_at: float | None, now: float) -> float:
    """Return when an attempt wrote its exit code, by the clock as it goes now.

    The clock may have been set since the attempt began, before its end or after it. The files have the time of the
    clock as it went when they were written; what that was then, the lock tells, which is as old as the attempt.

    Args:
        attempt: the path of its files.
        started_at: when it began, by the clock as it goes now; None if that is not known.
        now: by that clock, too.
    """
    written = _changed_at(attempt + ".pid")
    if started_at is None:
        return min(written, now)
    moved = written + started_at - _changed_at(attempt + ".lock")
    possible = (moment for moment in (written, moved) if started_at <= moment <= now)
    return next(possible, min(max(written, started_at), now))


def _changed_at(path: str) -> float:
    """Return when a file was written last, in seconds since the epoch; infinity if it is gone."""
    try:
        return Path(path).lstat().st_mtime
    except OSError:
        return math.inf
