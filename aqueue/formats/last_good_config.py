"""The last good configuration, in force while `aqueue.yaml` has an error.

Servers, and commands that change something, keep the text that they last found good in `.aqueue/`, so that
whoever comes later has it.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from aqueue.errors import FileError
from aqueue.folder import config_content
from aqueue.folder.layout import Folder, display_path, write_whole
from aqueue.formats import config_file, config_for_add
from aqueue.model.config import Config


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force.

    Attributes:
        content: its text.
        written: the configuration as its text has it.
        config: the configuration, with overrides from the environment.
        error: the error in `aqueue.yaml`, because of which the last good one is in force; None if there is none.
    """

    content: bytes
    written: Config
    config: Config
    error: FileError | None = None

    def complaints(self) -> list[str]:
        """Return the error as lines to show; an empty list if there is none."""
        if self.error is None:
            return []
        first, *others = self.error.lines()
        return [f"the last good configuration is in force: {first}", *others]


def load(folder: Folder, environment: Mapping[str, str], *, to_serve: bool = False, keeps: bool = True) -> Loaded:
    """Return the folder's configuration, or the last good one, with overrides from the environment.

    Without the file, all keys have their defaults.

    Args:
        to_serve: for a server that starts. It does not start where the last good one is that there was none: it
            would do by default what the first configuration may be meant to forbid.
        keeps: save a good configuration for later; a command that only reads saves nothing.

    Raises:
        FileError: it has an error or cannot be read, and there is no last good one.
        UsageError: the environment has an error.
    """
    file = display_path(folder.config)
    try:
        content = config_content.read(folder) or b""
        written = config_file.parse(content, file)
    except FileError as error:
        kept = _content(folder.last_good)
        if kept is None or (to_serve and not kept):
            raise
        try:
            written = config_file.parse(kept, file)
        except FileError:
            # Another version of aqueue accepted it.
            raise error from None
        config = config_file.under(environment, written)
        return Loaded(content=kept, written=written, config=config, error=error)
    # An editor may be about to rewrite a file that is empty or gone; a server reads it again before it accepts it.
    if keeps and content.strip():
        keep(folder, content, written)
    return Loaded(content=content, written=written, config=config_file.under(environment, written))


def keep(folder: Folder, content: bytes, written: Config) -> None:
    """Save a good configuration, and what `aqueue add` needs of it, if the disk has room for them.

    Args:
        content: its text.
        written: the configuration as its text has it.
    """
    _save(folder.last_good, content)
    _save(folder.config_for_add, config_for_add.as_json(content, written))


def _save(path: Path, content: bytes) -> None:
    if _content(path) != content:
        with contextlib.suppress(OSError):
            write_whole(path, content)


def _content(path: Path) -> bytes | None:
    """Return the content of a file, perhaps empty; None if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None
