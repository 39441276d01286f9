"""The search for the folder a command works on."""

import os
from collections.abc import Iterator, Mapping

from aqueue.errors import FolderError
from aqueue.folder import trust
from aqueue.folder.layout import Folder


def find(given: str | None, environment: Mapping[str, str], start: "str | os.PathLike[str]") -> Folder:
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
        folder = Folder(os.path.abspath(os.path.join(start, named)))
        if not os.path.isdir(folder.state_text):
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


def to_create(given: str | None, environment: Mapping[str, str], start: "str | os.PathLike[str]") -> Folder:
    """Return the folder for a command that may create one: the named or found one, else `./queue`."""
    named = given or environment.get("AQUEUE_DIR")
    if not named and not os.path.isdir(os.path.join(start, "queue")):
        found, _ = _search(start)
        if found is not None:
            return found
    return Folder(os.path.abspath(os.path.join(start, named or "queue")))


def _search(start: "str | os.PathLike[str]") -> tuple[Folder | None, str]:
    """Search upwards for a folder, through directories that only this user can change.

    Returns:
        the folder, and the reason why the search stopped early, worded as the end of a sentence.
    """
    for here in _upwards(os.fspath(start)):
        if os.path.isdir(os.path.join(here, ".aqueue", "runs")):
            found = here
        elif os.path.isdir(os.path.join(here, "queue", ".aqueue")):
            found = os.path.join(here, "queue")
        elif fault := trust.fault_of_search(here):
            return None, f"; the search ended at {here}: {fault}"
        else:
            continue
        owner = os.stat(os.path.join(found, ".aqueue")).st_uid
        if owner != os.geteuid():
            return None, f"; {found} is not used: it belongs to user {owner}"
        return Folder(found), ""
    return None, ""


def _upwards(directory: str) -> Iterator[str]:
    """Yield a directory and all directories above it, to the top."""
    yield directory
    while (above := os.path.dirname(directory)) != directory:
        yield above
        directory = above
