"""Targets of symbolic links in the folder, and what to watch so that a change there is noticed."""

import os
from collections.abc import Collection, Mapping

import msgspec

from aqueue.folder.layout import is_open
from aqueue.folder.trust import steps


class Targets(msgspec.Struct, frozen=True):
    """The directories in which a change can alter what links in the folder lead to.

    Attributes:
        directories: those to watch beyond the folder.
        links: for each path whose change matters, the links that lead over it.
        identities: what tells each of the directories from another that takes its place.
    """

    directories: frozenset[str] = frozenset()
    links: Mapping[str, frozenset[str]] = {}
    identities: frozenset[tuple[str, int, int]] = frozenset()

    def affected(self, paths: Collection[str]) -> set[str]:
        """Return the links that lead somewhere else, or to something else, once these paths have changed."""
        return {link for path in paths for link in self.links.get(path, ())} if self.links else set()

    def is_foreign(self, path: str) -> bool:
        """Return True for what lies in one of the directories beyond the folder."""
        return bool(self.directories) and os.path.dirname(path) in self.directories


def targets_of(paths: Collection[str], watched: Collection[str]) -> Targets:
    """Return where those of the paths lead that are links.

    Args:
        paths: in the folder.
        watched: directories that are watched anyway.
    """
    links: dict[str, set[str]] = {}
    for path in filter(os.path.islink, paths):
        for entry in _entries(path):
            links.setdefault(entry, set()).add(path)
    if not links:
        return Targets()
    # The kernel tells of a directory by one name only, however often it is watched.
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
    """Return what tells a directory from others that have had its name; nothing if it is gone by now."""
    try:
        status = os.stat(directory)
    except OSError:
        return []
    return [(directory, status.st_dev, status.st_ino)]


def _entries(link: str) -> list[str]:
    """Return the links on the way from a link to what it leads to, and that itself."""
    directory, name = os.path.split(link)
    # Over the way to the folder nothing is known as it is: that is not watched.
    entries = [entry for _, entry in steps(os.path.join(os.path.realpath(directory), name))]
    return [*filter(os.path.islink, entries), *entries[-1:]]
