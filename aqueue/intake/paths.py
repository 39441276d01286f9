"""Paths in the folder, and what their tasks get from them."""

from aqueue.folder.layout import Folder, printable


class Paths:
    """The paths of a folder's files, as texts: they are made for every file that is dropped."""

    def __init__(self, folder: Folder) -> None:
        self._root = str(folder.path)

    def absolute(self, name: str) -> str:
        """Return a path from one within the folder."""
        return f"{self._root}/{name}"

    def relative(self, path: str) -> str:
        """Return a path within the folder."""
        return path[len(self._root) + 1 :]

    def shown(self, path: str) -> str:
        """Return a path within the folder, to be printed."""
        return printable(self.relative(path))

    def defaults(self, path: str) -> tuple[str, str]:
        """Return the queue and the name that a task gets from where its file is; at the top, no queue."""
        directory, _, name = path.rpartition("/")
        queue = "" if directory == self._root else directory.rpartition("/")[2]
        return queue, name.rpartition(".")[0]
