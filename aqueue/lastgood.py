"""The last good configuration: what is in force for all while `aqueue.yaml` has an error in it.

Servers and commands keep the text that they last found good in `.aqueue/`, so that one that comes later has it.
"""

import contextlib
import os
from collections.abc import Mapping

import msgspec

from aqueue import configfile
from aqueue.config import Config
from aqueue.errors import FileError
from aqueue.folder import Folder, write_whole


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
        """Return what to tell a person, as lines; none if nothing is wrong."""
        if self.error is None:
            return []
        *others, last = self.error.lines()
        return [*others, f"{last}; the last good configuration is in force"]


def load(folder: Folder, environment: Mapping[str, str], *, to_serve: bool = False) -> Loaded:
    """Read the folder's `aqueue.yaml`, or the last good one, and what the environment says over it.

    Without the file, everything is at its default.

    Args:
        to_serve: for a server that starts. It does not start where the last good one is that there was none: it
            would do by default what the first configuration may be meant to forbid.

    Raises:
        FileError: there is an error in it, or it cannot be read, and no last good one is known.
        UsageError: there is an error in the environment.
    """
    file = os.path.relpath(folder.config)
    try:
        content = configfile.read(folder) or b""
        config = configfile.parse(content, file)
    except FileError as error:
        kept = _kept(folder)
        if kept is None or (to_serve and not kept):
            raise
        try:
            config = configfile.parse(kept, file)
        except FileError:
            # Another version of aqueue found it good.
            raise error from None
        return Loaded(content=kept, config=configfile.under(environment, config), error=error)
    # An editor may be about to write anew what is empty or gone; a server looks again before it believes that.
    if content.strip():
        keep(folder, content)
    return Loaded(content=content, config=configfile.under(environment, config))


def keep(folder: Folder, content: bytes) -> None:
    """Keep the text of a good configuration for those who come later, as far as there is room for it."""
    if _kept(folder) != content:
        with contextlib.suppress(OSError):
            write_whole(folder.last_good, content)


def _kept(folder: Folder) -> bytes | None:
    """Return the text of the last good configuration, empty if that was none; None if it is not known."""
    try:
        return folder.last_good.read_bytes()
    except OSError:
        return None
