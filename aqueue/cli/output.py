"""Standard output and standard error, which may fail: on a full disk, or when the reader of a pipe has gone."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aqueue.errors import DISK_FULL, DiskFullError
from aqueue.visible import visible

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from _typeshed import ReadableBuffer


NAME: "Final" = "standard output"
"""The name of the file in an error of standard output."""


_IN_MEMORY: "Final" = 4 << 20
"""The maximum number of characters of spooled output in memory."""


class _Stream(io.FileIO):
    """A standard stream that waits while it is full, even if another process made it non-blocking."""

    def write(self, data: "ReadableBuffer", /) -> int:
        while (written := super().write(data)) is None:
            # Imported here: it is rarely needed.
            import select

            select.select([], [self], [])
        return written


class _Output(_Stream):
    """Standard output, whose errors carry its name."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, NAME) from None


class _Notes(_Stream):
    """Standard error that never fails: a lost note must not make a command fail."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Replace standard output and standard error by streams that handle errors as the commands need."""
    _open_closed_files()
    # Streams that were closed have been replaced, and cannot fail.
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _text(_Output(sys.stdout.fileno(), "w", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _text(_Notes(sys.stderr.fileno(), "w", closefd=False), sys.stderr)


def _open_closed_files() -> None:
    """Replace standard input, output and error if they are closed.

    Otherwise, the next opened file would take their place, and libuv aborts a process when it closes one of them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The new file gets the lowest free descriptor, which is the missing one.
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - for good, and without pathlib


def say(text: str, *, err: bool = False, head: str = "") -> None:
    """Print text, with control characters escaped.

    Args:
        err: whether to print to standard error.
        head: text of aqueue to print before it unchanged, such as a coloured word.
    """
    if head:
        # Imported here, because it is slow; it removes colours if there is no terminal.
        import click

        click.echo(head + visible(text), err=err)
        return
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{visible(text)}\n")
    stream.flush()


def note(text: str | None) -> None:
    """Print a note to standard error, if there is one."""
    if text is not None:
        say(text, err=True)


@contextmanager
def spooled_output() -> Iterator[Callable[[str], object]]:
    """Collect text for standard output, and write it at the end.

    A reader such as a pager may take hours, and the source of the text cannot be kept open for so long. Long text
    is in a temporary file meanwhile, not in memory.

    Raises:
        DiskFullError: there is no room for that file.
    """
    # Imported here: it is slow, and few commands print so much.
    import shutil
    import tempfile

    with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="") as kept:
        try:
            yield kept.write
            kept.seek(0)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise DiskFullError(
                f"there is no room in {tempfile.gettempdir()} for the output",
                "make room, or set TMPDIR to another directory",
            ) from error
        shutil.copyfileobj(kept, sys.stdout)


def report(text: str, done: str | None = None) -> None:
    """Print the result of a completed change; the change stays if the result cannot be printed.

    In that case, print the result to standard error and keep the exit code: a script that takes the change for
    failed would repeat it.

    Args:
        text: the result for scripts.
        done: the same in words; by default the text itself.
    """
    try:
        say(text)
    except OSError as error:
        abandon()
        say(f"{done or text}, but standard output cannot be written: {error.strerror}", err=True)


def report_queued(id_: int) -> None:
    """Print the id of a run that was queued."""
    report(str(id_), f"queued as {id_}")


def abandon() -> None:
    """Discard text that could not be written to standard output; Python would try again at exit, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(stream: _Stream, before: io.TextIOWrapper) -> io.TextIOWrapper:
    # Characters that the terminal cannot show must not end a server.
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        before.encoding,
        errors="backslashreplace",
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
