"""Parsing task files, with defaults from the configuration and from the file's path."""

from collections.abc import Callable

from aqueue.folder.layout import Folder
from aqueue.formats import task_file, yaml_text
from aqueue.formats.task_file import Content
from aqueue.model.basics import is_name
from aqueue.model.config import Config


class Parser:
    """Parses the task files of a folder.

    Args:
        config: returns the configuration; called for each file.
    """

    def __init__(self, folder: Folder, config: Callable[[], Config]) -> None:
        self._folder = folder
        self._config = config

    def parse(self, content: bytes, file: str, stem: str, queue: str) -> Content:
        """Return the content of a task file.

        Args:
            file: its name in errors.
            stem: the default name of its task, if it is a valid name.
            queue: the default queue; empty for none.

        Raises:
            FileError: the file has an error.
        """
        defaults = self._config().task_defaults(
            name=stem if is_name(stem) else None,
            queue=queue or None,
            working_dir=str(self._folder.parent),
            base=str(self._folder.parent),
        )
        return task_file.parse(yaml_text.decode(content, file), file, defaults)
