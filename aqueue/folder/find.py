"""The search for the folder that a command is about."""

import os
from collections.abc import Mapping
from pathlib import Path

from aqueue.errors import FolderError
from aqueue.folder import trust
from aqueue.folder.layout import Folder


def find(given: str | None, environment: Mapping[str, str], start: Path) -> Folder:
    """Find the folder that a command is about, as git finds its repository.

    Args:
        given: what `--dir` says.
        environment: in which `AQUEUE_DIR` may name it.
        start: the working directory; the nearest `queue/.aqueue` from there upwards is taken.

    Raises:
        FolderError: there is none.
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
    """Return the folder that a command which may create one is about: `./queue` unless named or found."""
    named = given or environment.get("AQUEUE_DIR")
    if not named and not os.path.isdir(start / "queue"):
        found, _ = _search(start)
        if found is not None:
            return found
    return Folder(Path(os.path.abspath(start / (named or "queue"))))


def _search(start: Path) -> tuple[Folder | None, str]:
    """Search for a folder from a directory upwards, as far as that and what lies there is this user's own.

    Returns:
        the folder, and why the search ended before the top, as the rest of a sentence.
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
