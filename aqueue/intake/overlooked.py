"""Finding task files in the folder, and reporting files that only look like one."""

import os
from collections.abc import Iterator

from aqueue.folder.layout import CONFIG_NAME, SUFFIXES, Folder, is_open, is_text, printable
from aqueue.model.events import Notice, Report

_NO_FILE_IN_IT = "no task file in it is taken"


def scan(folder: Folder) -> Iterator[tuple[str, str]]:
    """Yield the paths of task files, and those that are ignored, each with the message to report; else empty."""
    for directory in map(str, (folder.path, *folder.directories())):
        if why := why_closed(folder, directory):
            yield directory, why
            continue
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if folder.is_task_file(entry.path):
                        yield entry.path, ""
                    elif why := why_overlooked(folder, entry.path):
                        yield entry.path, why
        except OSError:
            # It is gone.
            continue


def why_closed(folder: Folder, directory: str) -> str:
    """Return the message about a directory that cannot be listed; empty for any other."""
    if not os.path.isdir(directory) or is_open(directory):
        return ""
    return f"{_shown(folder, directory)}/ cannot be read: {_NO_FILE_IN_IT}; make it readable: chmod u+rx"


def why_overlooked(folder: Folder, path: str) -> str:
    """Return the message about a path that a user would take for a task file but is none; else empty."""
    name = os.path.basename(path)
    if name.startswith((".", "#")) or path in (str(folder.path), str(folder.rejected)):
        return ""
    shown = _shown(folder, path)
    if not os.path.isdir(path):
        why = _why_no_task_file(folder, path, name)
        return f"{shown} {why}" if why else ""
    if os.path.islink(path):
        return f"{shown}/ is a symbolic link: {_NO_FILE_IN_IT}; link to the task files themselves"
    return "" if is_text(name) else f"{shown}/ has a name that is not UTF-8: {_NO_FILE_IN_IT}; rename it"


def _why_no_task_file(folder: Folder, path: str, name: str) -> str:
    if not os.path.lexists(path):
        return ""
    if folder.is_like_config(path):
        return f"is not read: the configuration is {CONFIG_NAME}; rename it, or remove it"
    if name.lower().endswith(SUFFIXES) and not name.endswith(SUFFIXES):
        return "is not taken: the name of a task file must end in .yaml or .yml; rename it"
    return ""


def _shown(folder: Folder, path: str) -> str:
    return printable(os.path.relpath(path, folder.path))


class Overlooked:
    """Reports why files and directories are ignored, each once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reported: set[str] = set()

    def report(self, path: str, why: str) -> None:
        """Report why a path is ignored, unless `why` is empty or was already reported."""
        if why and path not in self._reported:
            self._reported.add(path)
            self._report(Notice(why, urgent=True))

    def forget_gone(self) -> None:
        """Forget paths that are gone, so that a new file of the same name is reported."""
        self._reported = {path for path in self._reported if os.path.lexists(path)}
