"""Files of the code that a checkout would lack: those of submodules, those in Git LFS, untracked files."""

import os
import posixpath
from collections.abc import Iterable

from aqueue.errors import SnapshotError
from aqueue.isolation import git
from aqueue.isolation.code_index import CodeIndex, Entry
from aqueue.model.task import Isolation


def refuse_submodules(code: CodeIndex, entries: list[Entry], isolation: Isolation) -> None:
    """Raise `SnapshotError` for a submodule that is neither copied nor linked: it would be an empty directory."""
    for entry in entries:
        if entry.is_submodule and not _is_included(entry.path, isolation, code.prefix):
            raise SnapshotError(
                f"{code.relative(entry.path)} is a submodule, and checkouts are made without submodules",
                _how_to_include(code, entry.path),
            )


def refuse_pointers(code: CodeIndex, isolation: Isolation) -> None:
    """Raise `SnapshotError` for a file in Git LFS of which a checkout would have only the pointer."""
    listed = code.run("ls-files", "-z", ":(attr:filter=lfs)").split(b"\0")[:-1]
    missing = [path for path in map(os.fsdecode, listed) if not _is_included(path, isolation, code.prefix)]
    if not missing:
        return
    settings = dict(setting.partition(b"\n")[::2] for setting in code.run("config", "-z", "--list").split(b"\0"))
    driver = settings.get(b"filter.lfs.process") or settings.get(b"filter.lfs.smudge")
    # `git lfs install --skip-smudge` leaves pointers where they are.
    if not driver or b"--skip" in driver:
        raise SnapshotError(
            f"{code.relative(missing[0])} is stored in Git LFS, and git is not set up here to fetch it from there",
            f"run `git lfs install`, or {_how_to_include(code, missing[0])}",
        )


def untracked(working_dir: str, isolation: Isolation, paths: Iterable[str]) -> list[str]:
    """Return those of some paths that are files, and that a checkout will lack because git does not track them.

    Args:
        working_dir: the directory that the paths start from.
        isolation: says which files an attempt gets besides the code.

    Raises:
        SnapshotError: git fails.
    """
    files = [
        path
        for path in dict.fromkeys(paths)
        if "\0" not in path
        and not os.path.isabs(path)  # noqa: PTH117 - a word of a command, hardly ever a path
        and os.path.isfile(f"{working_dir}/{path}")  # noqa: PTH113 - the same
        and not _is_included(posixpath.normpath(path), isolation, "")
    ]
    if not files:
        return []
    arguments = ("--literal-pathspecs", "-C", working_dir, "ls-files", "-z", "--others", "--", *files)
    listed = git.run(working_dir, *arguments)
    return [os.fsdecode(path) for path in listed.split(b"\0") if path]


def _is_included(path: str, isolation: Isolation, prefix: str) -> bool:
    """Return True if a path, from the top, is copied or linked; those lists start from `prefix`."""
    listed = (posixpath.normpath(posixpath.join(prefix, each)) for each in isolation.copy + isolation.link)
    return any(path == each or path.startswith(each + "/") for each in listed)


def _how_to_include(code: CodeIndex, path: str) -> str:
    """Return the hint that says how a checkout gets a path, given from the top."""
    first = "choose a `working_dir` that it is in, and " if code.relative(path).startswith("../") else ""
    return f"{first}list it under `link` or `copy` of `isolate`"
