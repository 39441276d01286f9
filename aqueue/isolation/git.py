"""Git on a user's repository, with a time limit, and with errors that say what to do."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import Final

from aqueue.errors import AqueueError, DiskFullError, SnapshotError
from aqueue.isolation.checkout.git import GIT, complaint, environment, means_disk_full

TIMEOUT_SECONDS: Final = 60.0
"""The time that one git command may take."""


def run(
    directory: str, *arguments: str, standard_input: bytes | None = None, variables: Mapping[str, str] = {}
) -> bytes:
    """Run git.

    Args:
        directory: the directory or repository that it works on, for messages.
        variables: to add to its environment.

    Returns:
        its standard output.

    Raises:
        SnapshotError: it fails, or takes too long.
        DiskFullError: there is no room for what it must write.
    """
    try:
        # A signal to this process's group must not hit it, as it might leave a lock in the user's repository.
        process = subprocess.Popen(  # noqa: S603 - no shell
            [*GIT, *arguments],
            cwd="/",
            env={**environment(), **variables},
            stdin=subprocess.DEVNULL if standard_input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise SnapshotError("git is not installed, or not on PATH", "`isolate: git` needs it") from error
    with process:
        try:
            output, errors = process.communicate(standard_input, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise SnapshotError(
                f"git did not finish with the code in {directory} within {TIMEOUT_SECONDS:g} seconds",
                "do not track large files: list them under `link` of `isolate`",
            ) from error
    if process.returncode:
        raise _failure(directory, errors)
    return output


def not_a_working_tree(directory: str) -> SnapshotError:
    """Return the error for a directory in which git has no files."""
    return SnapshotError(
        f"{directory} is in a git repository, but not among its files", "choose a `working_dir` that has them"
    )


def disk_full() -> DiskFullError:
    """Return the error for a full disk."""
    return DiskFullError(
        "the disk is full: there is no room for a snapshot of the code", "make room and try again"
    )


def _failure(directory: str, errors: bytes) -> AqueueError:
    if means_disk_full(errors):
        return disk_full()
    if b"not a git repository" in errors:
        return SnapshotError(
            f"{directory} is in no git repository",
            "run `git init` and `git add` there, or leave `isolate` out",
        )
    if b"must be run in a work tree" in errors:
        return not_a_working_tree(directory)
    return SnapshotError(
        f"git cannot take a snapshot of the code in {directory}: {complaint(errors)}",
        "run `git status` there to find out more",
    )
