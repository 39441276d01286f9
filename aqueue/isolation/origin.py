"""The origin of a checkout: the user's directory, and the commit.

A checkout is removed with its run. A command that runs in a checkout and queues more work means the directory that
the checkout was made of.
"""

import os
import re
from pathlib import Path

import msgspec

from aqueue.folder.layout import may_be_in_checkout
from aqueue.model.task import Snapshot

_CHECKOUT = re.compile(r"checkout-(\d+)")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of a checkout.

    Attributes:
        checkout: the top of the checkout.
        top: the top of the user's working tree.
        repository: the directory in which git has the code.
        commit: the code.
    """

    checkout: str
    top: str
    repository: str
    commit: str

    def original(self, path: str) -> str:
        """Return the path in the user's working tree of one in the checkout; any other as it is."""
        within = _within(path, self.checkout)
        return path if within is None else _joined(self.top, within)

    def snapshot(self, working_dir: str) -> Snapshot | None:
        """Return the code for a directory of the user's working tree; None for any other directory."""
        within = _within(working_dir, self.top)
        if within is None:
            within = _within(os.path.realpath(working_dir), os.path.realpath(self.top))
        if within is None or _is_in_another_repository(self.top, within):
            return None
        return Snapshot(repository=self.repository, commit=self.commit, prefix=within)


def find(directory: str) -> Origin | None:
    """Return the origin of the innermost checkout around a directory; None outside of any."""
    if not may_be_in_checkout(directory):
        return None
    path = Path(directory)
    for checkout in (path, *path.parents):
        if (attempt := _CHECKOUT.fullmatch(checkout.name)) is not None:
            found = _read(checkout, checkout.with_name(f"attempt-{attempt[1]}.plan"))
            if found is not None:
                return found
    return None


def _read(checkout: Path, plan: Path) -> Origin | None:
    """Return the origin in the plan of a checkout (see `plan`); None if this user has written no such plan."""
    try:
        with plan.open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                # Whoever writes the origin of a directory decides which code runs.
                return None
            written = msgspec.json.decode(file.read())
        top = _top(written["source"], written["prefix"])
        if written["checkout"] is None or top is None:
            return None
        return Origin(checkout=str(checkout), top=top, repository=written["repository"], commit=written["commit"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _top(source: str, prefix: str) -> str | None:
    """Return the top of the working tree in which a directory has the path `prefix`."""
    if not prefix:
        return source
    for path in (source, os.path.realpath(source)):
        if path.endswith(f"/{prefix}"):
            return path.removesuffix(f"/{prefix}") or "/"
    return None


def _within(path: str, directory: str) -> str | None:
    """Return a path relative to a directory, empty for the directory itself; None if it is not below it."""
    path = os.path.normpath(path)
    if path == directory:
        return ""
    start = directory.rstrip("/") + "/"
    return path.removeprefix(start) if path.startswith(start) else None


def _joined(directory: str, within: str) -> str:
    return f"{directory.rstrip('/')}/{within}" if within else directory


def _is_in_another_repository(top: str, within: str) -> bool:
    """Return True if a directory below the top, such as that of a submodule, has a repository of its own."""
    path = Path(top, within)
    return any((directory / ".git").exists() for directory in (path, *path.parents) if _is_below(directory, top))


def _is_below(directory: Path, top: str) -> bool:
    return Path(top) in directory.parents
