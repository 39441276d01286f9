"""Paths in the folder, and the defaults that tasks take from them."""

from aqueue.folder.layout import Folder, printable


class Paths:
    """The paths of a folder's files, as strings because they are needed for every dropped file."""

    def __init__(self, folder: Folder) -> None:
        self._root = str(folder.path)

    def absolute(self, name: str) -> str:
        """Return the absolute path for a path within the folder."""
        return f"{self._root}/{name}"

    def relative(self, path: str) -> str:
        """Return the path within the folder for an absolute path."""
        return path[len(self._root) + 1 :]

    def shown(self, path: str) -> str:
        """Return the path within the folder, printable."""
        return printable(self.relative(path))

    def defaults(self, path: str) -> tuple[str, str]:
        """Return the default queue and name for the tasks of a file; no queue at the top of the folder."""
        directory, _, name = path.rpartition("/")
        queue = "" if directory == self._root else directory.rpartition("/")[2]
        return queue, name.rpartition(".")[0]
