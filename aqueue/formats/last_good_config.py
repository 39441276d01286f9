"""The last good configuration, which is in force while `aqueue.yaml` has an error in it.

Servers, and commands that change something, keep the text that they last found good in `.aqueue/`, so that
whoever comes later has it.
"""

import contextlib
import os
from collections.abc import Mapping

import msgspec

from aqueue.errors import FileError
from aqueue.folder.layout import Folder, write_whole
from aqueue.formats import config_file
from aqueue.model.config import Config


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force.

    Attributes:
        content: its text.
        config: what the text says, and the environment over it.
        error: what is wrong with `aqueue.yaml`, so that the last good one is in force; None if nothing is.
    """

    content: bytes
    config: Config
    error: FileError | None = None

    def complaints(self) -> list[str]:
        """Return the error as lines to show; none if there is none."""
        if self.error is None:
            return []
        first, *others = self.error.lines()
        return [f"the last good configuration is in force: {first}", *others]


def load(folder: Folder, environment: Mapping[str, str], *, to_serve: bool = False, keeps: bool = True) -> Loaded:
    """Read the folder's `aqueue.yaml`, or the last good one, and what the environment says over it.

    Without the file, everything is at its default.

    Args:
        to_serve: for a server that starts. It does not start where the last good one is that there was none: it
            would do by default what the first configuration may be meant to forbid.
        keeps: save a good configuration for later; a command that only reads saves nothing.

    Raises:
        FileError: there is an error in it, or it cannot be read, and no last good one is known.
        UsageError: there is an error in the environment.
    """
    file = os.path.relpath(folder.config)
    try:
        content = config_file.read(folder) or b""
        config = config_file.parse(content, file)
    except FileError as error:
        kept = _kept(folder)
        if kept is None or (to_serve and not kept):
            raise
        try:
            config = config_file.parse(kept, file)
        except FileError:
            # Another version of aqueue found it good.
            raise error from None
        return Loaded(content=kept, config=config_file.under(environment, config), error=error)
    # An editor may be about to rewrite a file that is empty or gone; a server reads it again before it accepts it.
    if keeps and content.strip():
        keep(folder, content)
    return Loaded(content=content, config=config_file.under(environment, config))


def keep(folder: Folder, content: bytes) -> None:
    """Save the text of a good configuration for later, if there is room for it."""
    if _kept(folder) != content:
        with contextlib.suppress(OSError):
            write_whole(folder.last_good, content)


def _kept(folder: Folder) -> bytes | None:
    """Return the text of the last good configuration, empty if that was none; None if it is not known."""
    try:
        return folder.last_good.read_bytes()
    except OSError:
        return None
