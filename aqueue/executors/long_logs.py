"""Logs with a limit: a longer log keeps its head and tail, with a line about the part left out.

A command writes its log directly, and the server checks its size regularly. If it is too long, the line is written
after the head, and the blocks from there to the tail are freed: `trim` punches a hole. This does not affect the
command: it continues to write at the end, and nothing that it writes meanwhile is lost. While no server is
running, the log is not checked; the next server does that. After the run, a file without the hole replaces the log
(`settle`). `read` supports both forms; positions count all bytes that the command has written, so that a reader
can continue from one form to the other.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from aqueue.folder import no_links
from aqueue.units import spell_size

UNSUPPORTED: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EPERM)
"""The errors of systems and file systems that cannot punch holes."""

_CHUNK: Final = 1 << 16
_BLOCK: Final = 1 << 12
_LONGEST_LINE: Final = 200
_LINE: Final = re.compile(
    rb"\n\[aqueue: [^\n]{1,20} left out here(?P<is_hole> so far)?,"
    rb" bytes (?P<start>\d{1,20}) to (?P<end>\d{1,20}): log\.limit is [^\n]{1,20}\]\n"
)
_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2


class _Gap(msgspec.Struct, frozen=True):
    """The part left out of a log.

    Attributes:
        start: the position of the line; everything before it is unchanged.
        end: the position of the tail in the whole output.
        line: the line, with a line end before and after it.
        tail: the position of the tail in the file.
    """

    start: int
    end: int
    line: bytes
    tail: int

    @property
    def is_hole(self) -> bool:
        return self.tail == self.end


def trim(log: str, limit: int) -> None:
    """Free the space beyond the limit of a log that is still being written.

    Raises:
        OSError: it failed; the errors in `UNSUPPORTED` are permanent.
    """
    descriptor = os.open(log, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        gap = _find(descriptor, limit)
        size = os.fstat(descriptor).st_size
        if _length(size, gap) <= limit or (gap is not None and not gap.is_hole):
            return
        is_first = gap is None
        gap = _wider(descriptor, size, limit, gap)
        if is_first:
            # Only one byte, which the next step rewrites: if holes are not supported, nothing has changed.
            _punch(descriptor, gap.start, 1)
        # Written before the hole, so that every reader of the hole knows it.
        os.pwrite(descriptor, gap.line, gap.start)
        hole = gap.start + len(gap.line)
        _punch(descriptor, hole, gap.end - hole)
    finally:
        os.close(descriptor)


def settle(log: str, limit: int) -> None:
    """Replace a finished log that is, or was, beyond its limit by its head and tail.

    Raises:
        OSError: it failed, and the log is unchanged.
    """
    with open(log, "rb", opener=no_links.opener) as file:
        descriptor = file.fileno()
        gap = _find(descriptor, limit)
        status = os.fstat(descriptor)
        size = status.st_size
        if size <= limit or (gap is not None and not gap.is_hole):
            return
        if gap is None or _length(size, gap) > limit:
            gap = _wider(descriptor, size, limit, gap)
        new = Path(log + ".new")
        # A leftover of an earlier call, which must not write into this file.
        new.unlink(missing_ok=True)
        try:
            with new.open("xb") as kept:
                os.fchmod(kept.fileno(), status.st_mode & 0o777)
                for piece in _pieces(descriptor, 0, gap.start):
                    kept.write(piece)
                kept.write(_line(gap.start, gap.end, limit))
                for piece in _pieces(descriptor, gap.end, size):
                    kept.write(piece)
            new.replace(log)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def read(log: Path, position: int, limit: int | None) -> Iterator[tuple[bytes, int]]:
    """Yield the log from a position on, piece by piece, each with the position after it.

    Args:
        position: the position in the whole output of the command.
        limit: the limit of the log; None if it has none.

    Raises:
        OSError: it cannot be read.
    """
    with open(log, "rb", opener=no_links.opener) as file:
        while True:
            piece, position = _piece(file.fileno(), position, limit)
            if not piece:
                return
            yield piece, position


def start_of_tail(log: Path, lines: int, limit: int | None) -> int:
    """Return the position of the last lines of a log, at most as far back as to the part left out of it.

    Raises:
        OSError: it cannot be read.
    """
    with open(log, "rb", opener=no_links.opener) as file:
        descriptor = file.fileno()
        gap = None if limit is None else _find(descriptor, limit)
        first, shift, whole = (0, 0, 0) if gap is None else (gap.tail, gap.end - gap.tail, gap.start)
        # The end of the last line is no start of another.
        end = os.fstat(descriptor).st_size - 1
        while end > first:
            begin = max(end - _CHUNK, first)
            at = len(piece := os.pread(descriptor, end - begin, begin))
            while (at := piece.rfind(b"\n", 0, at)) >= 0:
                lines -= 1
                if lines == 0:
                    return begin + at + 1 + shift
            end = begin
        return whole


def _piece(descriptor: int, position: int, limit: int | None) -> tuple[bytes, int]:
    if limit is None:
        piece = os.pread(descriptor, _CHUNK, position)
        return piece, position + len(piece)
    while True:
        gap = _find(descriptor, limit)
        piece, after = _piece_around(gap, descriptor, position, limit)
        # Otherwise, a hole was punched while the piece was read.
        if _find(descriptor, limit) == gap:
            return piece, after


def _piece_around(gap: _Gap | None, descriptor: int, position: int, limit: int) -> tuple[bytes, int]:
    if gap is None:
        piece = os.pread(descriptor, _CHUNK, position)
    elif position < gap.start:
        piece = os.pread(descriptor, min(_CHUNK, gap.start - position), position)
    elif position < gap.end:
        return gap.line if position == gap.start else _line(position, gap.end, limit), gap.end
    else:
        piece = os.pread(descriptor, _CHUNK, gap.tail + position - gap.end)
    return piece, position + len(piece)


def _pieces(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    while start < end and (piece := os.pread(descriptor, min(16 * _CHUNK, end - start), start)):
        yield piece
        start += len(piece)


def _length(size: int, gap: _Gap | None) -> int:
    """Return the length of a log without its hole."""
    return size if gap is None else gap.start + len(gap.line) + size - gap.tail


def _find(descriptor: int, limit: int) -> _Gap | None:
    """Find the part left out of a log, by the line near the middle of its limit."""
    first = limit // 2 - _BLOCK
    for found in _LINE.finditer(os.pread(descriptor, _BLOCK + _LONGEST_LINE, first)):
        start, end = first + found.start(), int(found["end"])
        # A command may have printed the log of another one.
        if start == int(found["start"]):
            return _Gap(start, end, found[0], end if found["is_hole"] else first + found.end())
    return None


def _wider(descriptor: int, size: int, limit: int, gap: _Gap | None) -> _Gap:
    """Return the part to leave out of a log of this size; it starts and ends at line ends, if any are near."""
    middle = limit // 2
    if gap is None:
        before = os.pread(descriptor, _BLOCK, middle - _BLOCK)
        last = max(before.rfind(b"\n"), before.rfind(b"\r"))
        start = middle if last < 0 else middle - _BLOCK + last
    else:
        start = gap.start
    end = size - (limit - middle - _LONGEST_LINE)
    end += -end % _BLOCK
    found = re.search(rb"[\n\r]", os.pread(descriptor, _BLOCK, end))
    end += found.end() if found else 0
    return _Gap(start, end, _line(start, end, limit, " so far"), end)


def _line(start: int, end: int, limit: int, so_far: str = "") -> bytes:
    left_out, most = spell_size(end - start), spell_size(limit)
    return f"\n[aqueue: {left_out} left out here{so_far}, bytes {start} to {end}: log.limit is {most}]\n".encode()


def _punch(descriptor: int, start: int, count: int) -> None:
    # Imported here: few logs have a limit.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if fallocate is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(count)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
