"""Targets of symbolic links in the folder, and what to watch to notice changes to them."""

import os
from collections.abc import Collection, Mapping

import msgspec

from aqueue.folder.layout import is_open
from aqueue.folder.trust import steps


class Targets(msgspec.Struct, frozen=True):
    """The directories where a change can affect a link in the folder.

    Attributes:
        directories: the directories outside the folder to watch.
        links: for each relevant path, the links that lead through it.
        identities: device and inode of each directory, which show when it is replaced.
    """

    directories: frozenset[str] = frozenset()
    links: Mapping[str, frozenset[str]] = {}
    identities: frozenset[tuple[str, int, int]] = frozenset()

    def affected(self, paths: Collection[str]) -> set[str]:
        """Return the links whose target may be different after these paths changed."""
        return {link for path in paths for link in self.links.get(path, ())} if self.links else set()

    def is_foreign(self, path: str) -> bool:
        """Return True for a path in a watched directory outside the folder."""
        return bool(self.directories) and os.path.dirname(path) in self.directories


def targets_of(paths: Collection[str], watched: Collection[str]) -> Targets:
    """Return the targets of those paths that are links.

    Args:
        paths: files in the folder.
        watched: directories that are already watched.
    """
    links: dict[str, set[str]] = {}
    for path in filter(os.path.islink, paths):
        for entry in _entries(path):
            links.setdefault(entry, set()).add(path)
    if not links:
        return Targets()
    # The kernel reports a directory under one name only, even if it is watched under several.
    known = {os.path.realpath(directory): directory for directory in watched}
    directories, by_known_name = set(), dict[str, frozenset[str]]()
    for entry, through in links.items():
        directory, name = os.path.split(entry)
        if directory not in known and is_open(directory):
            directories.add(directory)
        by_known_name[os.path.join(known.get(directory, directory), name)] = frozenset(through)
    identities = frozenset(identity for each in directories for identity in _identity(each))
    return Targets(frozenset(directories), by_known_name, identities)


def _identity(directory: str) -> list[tuple[str, int, int]]:
    """Return a directory's device and inode; nothing if it is gone."""
    try:
        status = os.stat(directory)
    except OSError:
        return []
    return [(directory, status.st_dev, status.st_ino)]


def _entries(link: str) -> list[str]:
    """Return the links on the way from a link to its target, and the target."""
    directory, name = os.path.split(link)
    # Resolved, because the way to the folder is not watched.
    entries = [entry for _, entry in steps(os.path.join(os.path.realpath(directory), name))]
    return [*filter(os.path.islink, entries), *entries[-1:]]
