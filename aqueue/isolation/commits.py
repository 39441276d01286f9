"""The differences between commits of a user's repository."""

from aqueue.errors import AqueueError
from aqueue.isolation import git

_WIDTH = 76


def changes(repository: str, before: str, after: str) -> str | None:
    """Return the files that differ between two commits, as `git diff --stat` shows them; None if unknown."""
    arguments = ("diff", f"--stat={_WIDTH}", "--no-color", "--no-ext-diff", "--no-textconv", before, after, "--")
    try:
        output = git.run(repository, *arguments, variables={"GIT_DIR": repository})
    except (AqueueError, OSError):
        return None
    return output.decode(errors="replace").rstrip() or None
