"""A folder as a program has it in its hands: found, or made."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from aqueue.client import session
from aqueue.client.options import path_of
from aqueue.client.results import Runs
from aqueue.client.session import Warn, find_folder, folder_to_create, reading
from aqueue.model.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from aqueue.folder.layout import Folder


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)


class Handle:
    """A folder; see `Client`."""

    def __init__(self, directory: str | os.PathLike[str], *, warn: Warn = _warn) -> None:
        self._open(find_folder(path_of("directory", directory)), warn)

    def _open(self, folder: Folder, warn: Warn) -> None:
        self._folder = folder
        self._warn = warn

    @classmethod
    def find(cls, *, warn: Warn = _warn) -> Self:
        """Return a client of the folder that commands use here: $AQUEUE_DIR, else the nearest `queue/`.

        Raises:
            FolderError: there is none.
        """
        found = cls.__new__(cls)
        found._open(find_folder(None), warn)
        return found

    @classmethod
    def create(cls, directory: str | os.PathLike[str] = "queue", *, warn: Warn = _warn) -> Self:
        """Return a client of a folder, which is created if it does not exist.

        Raises:
            FolderError: it is not safe to use.
        """
        folder = folder_to_create(path_of("directory", directory))
        session.create(folder)
        created = cls.__new__(cls)
        created._open(folder, warn)
        return created

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"Client({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """Return the folder."""
        return self._folder.path

    def _now(self, runs: Sequence[Run]) -> Runs:
        return self._of_ids([run.id for run in runs])

    def _of_ids(self, ids: Sequence[int]) -> Runs:
        with reading(self._folder) as store:
            return Runs(run for id_ in ids if (run := store.runs.get(id_)) is not None)
