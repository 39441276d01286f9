"""What lies in the folder and looks as if it were to be taken, and never is: that is said, once."""

import os

from aqueue.folder.layout import CONFIG_NAME, SUFFIXES, Folder, is_open, is_text, printable
from aqueue.model.events import Notice, Report

_NO_FILE_IN_IT = "no task file in it is taken"


class Overlooked:
    """Says of files and directories why they are not looked at.

    Args:
        folder: in which they are.
        report: is told.
    """

    def __init__(self, folder: Folder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._root = str(folder.path)
        self._rejected = str(folder.rejected)
        self._said: set[str] = set()

    def is_closed(self, directory: str) -> bool:
        """Return True for a directory that cannot be listed, having said so."""
        if not os.path.isdir(directory) or is_open(directory):
            return False
        self._say(directory, f"/ cannot be read: {_NO_FILE_IN_IT}")
        return True

    def consider(self, path: str) -> None:
        """Say why a path is not looked at, if a person would expect it to be."""
        name = os.path.basename(path)
        if name.startswith((".", "#")) or path in (self._root, self._rejected):
            return
        if not os.path.isdir(path):
            self._consider_file(path, name)
        elif os.path.islink(path):
            self._say(path, f"/ is a symbolic link: {_NO_FILE_IN_IT}; link to the task files themselves")
        elif not is_text(name):
            self._say(path, f"/ has a name that is not UTF-8: {_NO_FILE_IN_IT}")

    def forget_gone(self) -> None:
        """Forget what is not there any more, so that it is said of another of that name."""
        self._said = {path for path in self._said if os.path.lexists(path)}

    def _consider_file(self, path: str, name: str) -> None:
        if not os.path.lexists(path):
            return
        if self._folder.is_like_config(path):
            self._say(path, f" is not read: the configuration is {CONFIG_NAME}; rename it, or remove it")
        elif name.lower().endswith(SUFFIXES) and not name.endswith(SUFFIXES):
            self._say(path, " is not taken: the name of a task file ends in .yaml or .yml; rename it")

    def _say(self, path: str, why: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._report(Notice(f"{printable(path[len(self._root) + 1 :])}{why}", urgent=True))
