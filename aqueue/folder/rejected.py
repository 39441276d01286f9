"""The directory `rejected/`: bad files, each with an `.error` file that says what is wrong."""

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
"""The end of every message about a bad edit."""

_ERROR: Final = ".error"
_MAX_COPIES: Final = 20
"""The number of names to search for the copy of a bad edit."""


class RejectedFile(NamedTuple):
    """A bad file.

    Attributes:
        file: its path within the folder, printable.
        reason: the first line of the error; empty if unknown.
    """

    file: str
    reason: str


def newest(folder: Folder) -> tuple[int, RejectedFile | None]:
    """Return the number of bad files, and the one rejected last."""
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
    """The bad files of a folder. All names are paths within the folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def move(self, path: str, name: str, error: str) -> str:
        """Move a bad file here and write its error beside it.

        Returns:
            its new path within the folder.

        Raises:
            OSError: it cannot be moved, or there is no room for the error.
        """
        target = self._target(name)
        # Written first: on a full disk, a file moved first would have no explanation.
        write_whole(_error_beside(target), _text(error))
        try:
            Path(path).rename(target)
        except OSError:
            if not os.path.lexists(target):
                _error_beside(target).unlink(missing_ok=True)
            raise
        return os.path.relpath(target, self._folder.path)

    def take_back(self, moved_to: str, path: str) -> bool:
        """Undo a move, unless another file has taken the old path.

        Args:
            moved_to: the return value of `move`.

        Returns:
            True if the file is back.
        """
        target = self._folder.path / moved_to
        try:
            move_to_free_place(target, Path(path))
        except OSError:
            return False
        _error_beside(target).unlink(missing_ok=True)
        return True

    def copy(self, content: bytes, name: str, error: str) -> None:
        """Save a copy of a bad edit and its error, replacing an earlier copy. The file itself stays in place.

        Raises:
            OSError: there is no room for the copy.
        """
        target = self._copy_of(name) or self._target(name)
        write_whole(target, content)
        write_whole(_error_beside(target), _text(error) + _mark(name))

    def remove_copy(self, name: str) -> None:
        """Remove the copy of a bad edit, if there is one, because the file was fixed or is gone."""
        # Several servers may each have made one.
        while (target := self._copy_of(name)) is not None:
            try:
                target.unlink(missing_ok=True)
                _error_beside(target).unlink()
            except OSError:
                return

    def _copy_of(self, name: str) -> Path | None:
        """Return the path of the copy of a bad edit of this file."""
        # Rejected files of the same name may come before it.
        for target in islice(self._candidates(name), _MAX_COPIES):
            with contextlib.suppress(OSError):
                if _error_beside(target).read_bytes().endswith(b"\n" + _mark(name)):
                    return target
        return None

    def _target(self, name: str) -> Path:
        """Return a free path here."""
        target = next(target for target in self._candidates(name) if not os.path.lexists(target))
        make_directories(target.parent, 0o700)
        return target

    def _candidates(self, name: str) -> Iterator[Path]:
        target = self._folder.rejected / name
        # Leave room for the suffixes.
        while len(os.fsencode(target.name)) > 230:
            target = target.with_name(target.stem[:-10] + target.suffix)
        yield target
        for number in count(2):
            yield target.with_name(f"{target.stem}-{number}{target.suffix}")


def _error_beside(target: Path) -> Path:
    return target.with_name(target.name + _ERROR)


def _mark(name: str) -> bytes:
    """Return the last line of an error about a bad edit of this file."""
    return _text(f"{visible_line(name)}: {IN_FORCE}")


def _text(error: str) -> bytes:
    """Return the content of an `.error` file, safe to print on a terminal."""
    return f"{visible(error)}\n".encode(errors="backslashreplace")
