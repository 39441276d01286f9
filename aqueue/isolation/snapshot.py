"""Snapshots: commits of all tracked files as they are at this moment, uncommitted edits included.

A snapshot is made in a copy of the index. The user's repository gets new objects, and a ref that is no branch, tag
or stash (see `refs`); nothing else in it changes.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aqueue.errors import DISK_FULL, SnapshotError
from aqueue.isolation import git, missing_files
from aqueue.isolation.code_index import CodeIndex
from aqueue.model.task import Isolation, Snapshot


def take(working_dir: str, isolation: Isolation, scratch: Path) -> Snapshot:
    """Take a snapshot of the code that a directory is in; the same code gives the same commit again.

    Until it is pinned, git may remove it; by default it waits some weeks before it does.

    Args:
        working_dir: of the task; an absolute path.
        isolation: says which files an attempt gets besides the code.
        scratch: a directory for temporary files.

    Raises:
        SnapshotError: git does not have the code, or not all that belongs to it.
        DiskFullError: there is no room for it.
    """
    with _temporary_directory(scratch, f"no snapshot of the code in {working_dir} can be taken") as directory:
        code = CodeIndex.of_directory(working_dir, directory)
        unusual = code.unusual_entries()
        missing_files.refuse_submodules(code, unusual, isolation)
        code.add_edits(unusual)
        missing_files.refuse_pointers(code, isolation)
        return Snapshot(repository=code.repository, commit=code.commit(), prefix=code.prefix)


def take_again(snapshot: Snapshot, isolation: Isolation, scratch: Path) -> Snapshot:
    """Return a snapshot for one more task, if an attempt will have all that belongs to its code.

    Args:
        isolation: says which files an attempt gets besides the code.
        scratch: a directory for temporary files.

    Raises:
        SnapshotError: git no longer has the code, or not all that belongs to it.
        DiskFullError: there is no room for the check.
    """
    with _temporary_directory(scratch, f"the code in {snapshot.repository} cannot be read") as directory:
        code = CodeIndex.of_snapshot(snapshot, directory)
        missing_files.refuse_submodules(code, code.unusual_entries(), isolation)
        missing_files.refuse_pointers(code, isolation)
    return snapshot


@contextmanager
def _temporary_directory(scratch: Path, failure: str) -> Iterator[str]:
    """Make a directory for a while; an `OSError` meanwhile becomes an error that begins with `failure`."""
    try:
        with tempfile.TemporaryDirectory(prefix="snapshot-", dir=scratch) as directory:
            yield directory
    except OSError as error:
        if error.errno in DISK_FULL:
            raise git.disk_full() from error
        raise SnapshotError(f"{failure}: {error}") from error
