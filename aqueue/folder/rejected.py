"""The directory `rejected/`: bad files, each with an `.error` beside it that says what is wrong."""

import contextlib
import os
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.folder.layout import Folder, make_directories, printable, write_whole
from aqueue.folder.moving import move_to_free_place
from aqueue.visible import visible, visible_line

IN_FORCE: Final = "the last good version stays in force"
"""The remark on every bad edit."""

_ERROR: Final = ".error"
_MAX_COPIES: Final = 20
"""The number of names that are tried for the copy of a bad edit."""


class RejectedFile(NamedTuple):
    """A bad file.

    Attributes:
        file: its path within the folder, to be printed.
        reason: the first line of what is wrong with it; empty if that is not known.
    """

    file: str
    reason: str


def newest(folder: Folder) -> tuple[int, RejectedFile | None]:
    """Return how many bad files there are, and the one that was rejected last."""
    paths = [
        Path(directory, name)
        for directory, _, names in os.walk(folder.rejected)
        for name in names
        if not name.endswith(_ERROR) and not name.startswith(".")
    ]
    if not paths:
        return 0, None
    last = max(paths, key=_rejected_at)
    reason = ""
    with contextlib.suppress(OSError):
        reason = _error_beside(last).read_text(errors="replace").partition("\n")[0]
    return len(paths), RejectedFile(printable(os.path.relpath(last, folder.path)), visible_line(reason))


def _rejected_at(path: Path) -> float:
    with contextlib.suppress(OSError):
        return _error_beside(path).stat().st_mtime
    return 0.0


class Rejected:
    """The bad files of a folder; all names are paths within the folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def move(self, path: str, name: str, error: str) -> str:
        """Move a bad file here, and say why.

        Returns:
            its path within the folder now, to be printed.

        Raises:
            OSError: it cannot be moved, or there is no room to say why.
        """
        target = self._target(name)
        # Not moved first: on a full disk it would lie there without a word.
        write_whole(_error_beside(target), _text(error))
        try:
            Path(path).rename(target)
        except OSError:
            if not os.path.lexists(target):
                _error_beside(target).unlink(missing_ok=True)
            raise
        return os.path.relpath(target, self._folder.path)

    def take_back(self, moved_to: str, path: str) -> bool:
        """Undo a move, unless there is another file now where it was.

        Args:
            moved_to: what `move` has returned.

        Returns:
            True if it is back.
        """
        target = self._folder.path / moved_to
        try:
            move_to_free_place(target, Path(path))
        except OSError:
            return False
        _error_beside(target).unlink(missing_ok=True)
        return True

    def copy(self, content: bytes, name: str, error: str) -> None:
        """Keep a copy of a bad edit, in place of an earlier one, and say why; the file itself stays where it is.

        Raises:
            OSError: there is no room for it.
        """
        target = self._copy_of(name) or self._target(name)
        write_whole(target, content)
        write_whole(_error_beside(target), _text(error) + _mark(name))

    def remove_copy(self, name: str) -> None:
        """Remove the copy of a bad edit, if there is one: the file was mended, or is gone."""
        # Several servers may have made one each.
        while (target := self._copy_of(name)) is not None:
            try:
                target.unlink(missing_ok=True)
                _error_beside(target).unlink()
            except OSError:
                return

    def _copy_of(self, name: str) -> Path | None:
        """Return where the copy of a bad edit of that file is."""
        # There may be others between, which were rejected for good.
        for target in islice(self._candidates(name), _MAX_COPIES):
            with contextlib.suppress(OSError):
                if _error_beside(target).read_bytes().endswith(b"\n" + _mark(name)):
                    return target
        return None

    def _target(self, name: str) -> Path:
        """Return a path here that is not taken."""
        target = next(target for target in self._candidates(name) if not os.path.lexists(target))
        make_directories(target.parent, 0o700)
        return target

    def _candidates(self, name: str) -> Iterator[Path]:
        target = self._folder.rejected / name
        # There must be room for the endings.
        while len(os.fsencode(target.name)) > 230:
            target = target.with_name(target.stem[:-10] + target.suffix)
        yield target
        for number in count(2):
            yield target.with_name(f"{target.stem}-{number}{target.suffix}")


def _error_beside(target: Path) -> Path:
    return target.with_name(target.name + _ERROR)


def _mark(name: str) -> bytes:
    """Return the last line of an error that is about a bad edit of that file."""
    return _text(f"{visible_line(name)}: {IN_FORCE}")


def _text(error: str) -> bytes:
    """Return what an `.error` says, for somebody who reads it at a terminal."""
    return f"{visible(error)}\n".encode(errors="backslashreplace")
