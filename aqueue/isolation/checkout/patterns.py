"""The files and directories that a pattern of `outputs` names."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase


def find(base: str, pattern: str) -> Iterator[str]:
    """Return the paths, from `base`, that match a pattern; a pattern that is itself a path there is that path."""
    path = os.path.normpath(pattern)
    if os.path.exists(os.path.join(base, path)):
        return iter([path])
    return iter(dict.fromkeys(_match(base, "", path.split("/"))))


def _match(base: str, path: str, parts: list[str]) -> Iterator[str]:
    """Yield what matches below `path` in `base`; only links that the pattern names are followed."""
    part, *rest = parts
    if part == "**" and rest:
        yield from _match(base, path, rest)
    try:
        entries = sorted(os.scandir(os.path.join(base, path)), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        name = os.path.join(path, entry.name)
        is_hidden = entry.name.startswith(".") and not part.startswith(".")
        if entry.name != part and (is_hidden or not fnmatchcase(entry.name, part)):
            continue
        is_directory = os.path.isdir(entry.path) and (entry.name == part or not entry.is_symlink())
        if rest and is_directory:
            yield from _match(base, name, parts if part == "**" else rest)
        elif not rest and (is_directory or os.path.isfile(entry.path)):
            yield name
