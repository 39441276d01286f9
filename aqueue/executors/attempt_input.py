"""The input of an attempt: two pipes with names beside its log, one for what is sent, the other for its end.

They need no server: see `local.wrapper` for who holds them open.
"""

import contextlib
import errno
import os
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aqueue.folder import no_links

_INPUT: Final = ".stdin"
_END: Final = ".stdin-end"
_STEP: Final = 0.02

_BETWEEN: Final = 1.0
"""The seconds from the beginning of one pipe to that of the other, at most."""


class NotOpenError(Exception):
    """The command has not begun to run, or is over."""


class ClosedError(Exception):
    """The input has ended."""


class FullError(Exception):
    """The command does not read its input, and no more fits into it.

    Args:
        left: the number of bytes that were not sent.
    """

    def __init__(self, left: int) -> None:
        super().__init__(left)
        self.left = left


def path(attempt: str) -> str:
    """Return the path of the input of an attempt."""
    return attempt + _INPUT


def make(attempt: str) -> None:
    """Make the input of an attempt that is about to begin; another server may have made it already.

    Raises:
        OSError: it cannot be made.
    """
    for suffix in (_INPUT, _END):
        no_links.remove(attempt + suffix)
        try:
            os.mkfifo(attempt + suffix, 0o600)
        except FileExistsError:
            if not stat.S_ISFIFO(os.lstat(attempt + suffix).st_mode):
                raise


def remove(attempt: str) -> None:
    """Remove the input of an attempt that is over."""
    for suffix in (_INPUT, _END):
        with contextlib.suppress(OSError):
            os.unlink(attempt + suffix)  # noqa: PTH108 - a text already


def send(attempt: str, text: bytes, *, ends: bool, patience: float) -> None:
    """Send bytes to the command of an attempt.

    Args:
        ends: whether this is the end of its input.
        patience: how many seconds to wait for the command to read, and for the attempt to begin.

    Raises:
        NotOpenError: the command has not begun, or is over.
        ClosedError: the input has ended.
        FullError: the command does not read.
        OSError: the input cannot be written.
    """
    deadline = time.monotonic() + patience
    with _opened(attempt + _INPUT, deadline) as pipe:
        if pipe is None:
            raise NotOpenError
        # Held open meanwhile: the input ends only after what is sent here.
        with _opened(attempt + _END, min(deadline, time.monotonic() + _BETWEEN)) as end:
            if end is None:
                raise ClosedError
            _write(pipe, text, deadline)
            if ends:
                os.write(end, b"\n")


@contextmanager
def _opened(path: str, deadline: float) -> Iterator[int | None]:
    """Open a pipe for writing as soon as somebody reads it; None if nobody does before the deadline."""
    while (pipe := _try_to_open(path)) is None and time.monotonic() < deadline:
        time.sleep(_STEP)
    try:
        yield pipe
    finally:
        if pipe is not None:
            os.close(pipe)


def _try_to_open(path: str) -> int | None:
    try:
        pipe = no_links.opener(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):
            return None
        raise
    if stat.S_ISFIFO(os.fstat(pipe).st_mode):
        return pipe
    os.close(pipe)
    return None


def _write(pipe: int, text: bytes, deadline: float) -> None:
    left = memoryview(text)
    while left:
        try:
            left = left[os.write(pipe, left) :]
        except BlockingIOError:
            seconds = deadline - time.monotonic()
            if seconds <= 0 or not select.select([], [pipe], [], seconds)[1]:
                raise FullError(len(left)) from None
        except BrokenPipeError:
            raise ClosedError from None
