"""The search for the folder a command works on."""

import os
from collections.abc import Mapping
from pathlib import Path

from aqueue.errors import FolderError
from aqueue.folder import trust
from aqueue.folder.layout import Folder


def find(given: str | None, environment: Mapping[str, str], start: Path) -> Folder:
    """Find the folder a command works on, as git finds its repository.

    Args:
        given: the value of `--dir`, if any.
        environment: may name the folder in `AQUEUE_DIR`.
        start: the working directory. The search goes upwards from here to the nearest `queue/.aqueue`.

    Raises:
        FolderError: there is no usable folder.
    """
    named = given or environment.get("AQUEUE_DIR")
    if named:
        folder = Folder(Path(os.path.abspath(start / named)))
        if not folder.state.is_dir():
            raise FolderError(f"{named} is not an aqueue folder", f"make one: aqueue init {named}")
    else:
        found, end = _search(start)
        if found is None:
            raise FolderError(
                f"there is no aqueue folder here or above{end}",
                "make one with `aqueue init`, or name one with --dir or AQUEUE_DIR",
            )
        folder = found
    folder.check()
    return folder


def to_create(given: str | None, environment: Mapping[str, str], start: Path) -> Folder:
    """Return the folder for a command that may create one: the named or found one, else `./queue`."""
    named = given or environment.get("AQUEUE_DIR")
    if not named and not os.path.isdir(start / "queue"):
        found, _ = _search(start)
        if found is not None:
            return found
    return Folder(Path(os.path.abspath(start / (named or "queue"))))


def _search(start: Path) -> tuple[Folder | None, str]:
    """Search upwards for a folder, through directories that only this user can change.

    Returns:
        the folder, and the reason why the search stopped early, worded as the end of a sentence.
    """
    for directory in (start, *start.parents):
        if os.path.isdir(directory / ".aqueue" / "runs"):
            found = directory
        elif os.path.isdir(directory / "queue" / ".aqueue"):
            found = directory / "queue"
        elif fault := trust.fault_of_search(str(directory)):
            return None, f"; the search ended at {directory}: {fault}"
        else:
            continue
        owner = os.stat(found / ".aqueue").st_uid
        if owner != os.geteuid():
            return None, f"; {found} is not used: it belongs to user {owner}"
        return Folder(found), ""
    return None, ""
