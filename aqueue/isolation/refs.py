"""The private refs that keep git from removing the commits of snapshots."""

import secrets
from pathlib import Path
from typing import Final

from aqueue.isolation import git

REFS: Final = "refs/aqueue"
"""The namespace of the refs."""


def new_ref(commit: str) -> str:
    """Return a new, unique name for a ref to a commit."""
    return f"{REFS}/{commit[:12]}-{secrets.token_hex(4)}"


def pin(repository: str, ref: str, commit: str) -> None:
    """Keep git from removing a commit.

    Args:
        repository: git's directory of the repository that has it.
        ref: a name from `new_ref`.

    Raises:
        SnapshotError: the ref cannot be written.
        DiskFullError: there is no room for it.
    """
    # Nobody needs the history of such a ref.
    arguments = ("-c", "core.logAllRefUpdates=false", "update-ref", ref, commit)
    git.run(repository, *arguments, variables={"GIT_DIR": repository})


def unpin(repository: str, ref: str) -> None:
    """Let git remove a commit, unless another ref needs it; the ref and the repository may be gone.

    Raises:
        SnapshotError: the ref cannot be removed.
    """
    if Path(repository, "objects").is_dir():
        git.run(repository, "update-ref", "-d", ref, variables={"GIT_DIR": repository})
