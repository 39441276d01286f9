"""Standard output and standard error that cannot be written: a full disk, a pipe whose reader has gone."""

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
"""The number of characters to be printed that are kept in memory."""


class _Stream(io.FileIO):
    """A standard stream that waits while it is full, although somebody who shares it has made it non-blocking."""

    def write(self, data: "ReadableBuffer", /) -> int:
        while (written := super().write(data)) is None:
            # Imported here: it is hardly ever needed.
            import select

            select.select([], [self], [])
        return written


class _Output(_Stream):
    """Standard output, whose errors say that they are its own."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, NAME) from None


class _Notes(_Stream):
    """Standard error that never fails: notes that nobody can read must not undo what a command does."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Have standard output and standard error be what `report` and the commands take them for."""
    _open_closed_files()
    # Those that were closed are something else already, which cannot fail.
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _text(_Output(sys.stdout.fileno(), "w", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _text(_Notes(sys.stderr.fileno(), "w", closefd=False), sys.stderr)


def _open_closed_files() -> None:
    """Have something in the place of standard input, output and error where they are closed.

    Whatever is opened next would be taken for them, and libuv ends a process in which it closes one of them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It gets the lowest number that is free, which is the one that is missing.
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - for good, and without pathlib


def say(text: str, *, err: bool = False, head: str = "") -> None:
    """Print text for a person, of which no part can do anything to the terminal.

    Args:
        err: on standard error.
        head: what goes before it as it is: a word of aqueue's own, in its colour.
    """
    if head:
        # Imported here, as it takes a while: it leaves out colours where there is no terminal.
        import click

        click.echo(head + visible(text), err=err)
        return
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{visible(text)}\n")
    stream.flush()


def note(text: str | None) -> None:
    """Tell a person something on standard error, if there is anything to tell."""
    if text is not None:
        say(text, err=True)


@contextmanager
def put_by() -> Iterator[Callable[[str], object]]:
    """Take text for standard output, piece by piece, and write it at the end.

    Whoever reads it may take hours, as a pager does, and what it is made of cannot be kept for so long. What is
    long is in a temporary file meanwhile, not in memory.

    Raises:
        DiskFullError: there is no room for that file.
    """
    # Imported here: it takes a while, and few commands print so much.
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
    """Print the result of a change that is made, and stays made if it cannot be printed.

    That is said on standard error then, and the exit code says what is true of the change: a script that takes it
    for failed would ask for it again.

    Args:
        text: what a script reads.
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
    """Let go of what could not be written to standard output: Python would try again at its exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(stream: _Stream, before: io.TextIOWrapper) -> io.TextIOWrapper:
    # What the terminal cannot show must not be what ends a server.
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        before.encoding,
        errors="backslashreplace",
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
