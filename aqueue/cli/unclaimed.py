"""Directories that are not yet aqueue folders: which of them a server may use, and what happens to their files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from aqueue.cli.context import folder_to_create, outer_directory
from aqueue.client.session import environment
from aqueue.errors import FolderError
from aqueue.folder.layout import CONFIG_NAME, Folder, display_path
from aqueue.units import counted, listed, plural

_MAX_NAMED = 4


def folder_to_serve(directory: str | None, *, is_meant: bool) -> Folder:
    """Return the folder to serve, `./queue` unless named or found.

    Args:
        directory: the value of the command's own `--dir` or argument.
        is_meant: whether its files may be run although it is not yet an aqueue folder.

    Raises:
        FolderError: it was named and does not exist, or may contain other files.
    """
    folder = folder_to_create(directory)
    if folder.state.exists():
        return folder
    if not os.path.lexists(folder.path):
        if named := directory or outer_directory() or environment().get("AQUEUE_DIR"):
            raise FolderError(f"there is no directory {named}", f"create it: aqueue init {named}")
        return folder
    if not is_meant and (names := _names_in(folder.path)):
        shown = display_path(folder.path)
        raise FolderError(
            f"{shown}/ is not an aqueue folder yet, and already contains files: {listed(names, _MAX_NAMED)}",
            f"to run the task files in it: aqueue init {shown}, or --yes",
        )
    return folder


def fate_of_files(folder: Folder) -> str:
    """Return what happens to the files that a new folder already contains; empty if there are none."""
    names = sorted(os.path.relpath(path, folder.path) for path in _task_files(folder))
    if not names:
        return ""
    look = plural(len(names), "looks like a task file", "look like task files")
    these = f"{counted(len(names), 'file')} in it {look}"
    what = f"`aqueue serve` runs what is valid, and moves the rest to {display_path(folder.rejected)}/"
    return f"{these}: {listed(names, _MAX_NAMED)}; {what}"


def _names_in(path: Path) -> list[str]:
    """Return the names in a directory without hidden ones; none if it has an `aqueue.yaml`."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_there(entry))
    except NotADirectoryError:
        return []
    return [] if CONFIG_NAME in names else names


def _is_there(entry: "os.DirEntry[str]") -> bool:
    """Return False for a directory without a file at any depth, such as a sub-folder made in advance."""
    return not entry.is_dir(follow_symlinks=False) or any(files for _, _, files in os.walk(entry.path))


def _task_files(folder: Folder) -> Iterator[str]:
    for directory in (folder.path, *folder.directories()):
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            yield from (entry.path for entry in entries if folder.is_task_file(entry.path))
