"""Calls of git on a user's repository, and the causes of its failures."""

import contextlib
import os

from aqueue.isolation.checkout.errors import (
    NO_PROCESS,
    NO_PROCESS_ERRORS,
    NO_ROOM,
    NO_ROOM_ERRORS,
    CheckoutError,
)
from aqueue.isolation.checkout.plan import Plan

GIT = (
    *("git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "core.splitIndex=false"),
)
"""The call of git on a user's repository: no hooks, no daemon, no garbage collection, no split index."""

REPOSITORY_VARIABLES = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR", "GIT_GRAFT_FILE"),
    *("GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
    *("GIT_WORK_TREE", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS"),
    *("GIT_ICASE_PATHSPECS",),
)
"""The variables that point git to another repository than that of the working directory."""

_NO_COMMIT = (b"not a tree object", b"Not a valid object name", b"failed to unpack tree object")
_PREFIXES = ("error: ", "fatal: ", "warning: ", "hint: ")
_FILTER_FAILED = ("external filter ", "the remote end hung up", "packet write")


def environment() -> dict[str, str]:
    """Return this process's environment for git: without another repository, and with messages in English."""
    variables = {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}
    # Not LC_ALL: a filter of the user's is to see the locale that it sees otherwise.
    return variables | {"LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def run(plan: Plan, *arguments: str, **variables: str) -> bytes:
    """Run git on the repository of a plan.

    Args:
        variables: to add to git's environment.

    Returns:
        its standard output.

    Raises:
        CheckoutError: it fails.
        Stopped: a signal asked to stop; no process of git is left then.
    """
    # Imported here: most ends of an attempt need no git.
    import subprocess

    try:
        process = subprocess.Popen(  # noqa: S603 - no shell
            [*GIT, *arguments],
            env=environment() | {"GIT_DIR": plan.repository} | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise CheckoutError("git is not installed, or not on PATH") from error
    try:
        output, errors = process.communicate()
    except BaseException:
        process.terminate()
        # Its helpers write files, too: all are gone once none of them has its output open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1.0)
        raise
    if process.returncode:
        raise _failure(plan, errors)
    return output


def complaint(errors: bytes) -> str:
    """Return the line of git's standard error that names the cause of its failure."""
    lines = errors.decode(errors="replace").strip().split("\n")
    # The first is the cause; what follows are consequences, or advice.
    for line in lines:
        kind, _, message = line.partition(": ")
        if kind in ("error", "fatal"):
            return (message.startswith(_FILTER_FAILED) and _complaint_of_a_filter(lines)) or message
    return lines[-1]


def means_disk_full(errors: bytes) -> bool:
    """Return True if git's standard error says that the disk is full."""
    # Git does not say why these two fail, and there is hardly another reason.
    words = (b"unable to write file '", b"unable to write new index file")
    return _has_one_of(NO_ROOM_ERRORS, errors) or any(word in errors for word in words)


def means_no_process(errors: bytes) -> bool:
    """Return True if git's standard error says that it could not have a process, a file or memory."""
    return _has_one_of(NO_PROCESS_ERRORS, errors)


def _failure(plan: Plan, errors: bytes) -> CheckoutError:
    if means_no_process(errors):
        return CheckoutError(complaint(errors), NO_PROCESS)
    if means_disk_full(errors):
        return CheckoutError("the disk is full: there is no room for a checkout of the code", NO_ROOM)
    if any(words in errors for words in _NO_COMMIT):
        return CheckoutError(f"the code to run, commit {plan.commit[:12]}, is no longer in {plan.repository}")
    return CheckoutError(f"git cannot check out the code: {complaint(errors)}")


def _complaint_of_a_filter(lines: list[str]) -> str:
    """Return the line that says why a filter, such as that of Git LFS, failed; git itself does not."""
    others = [line for line in lines if line.strip() and not line.startswith(_PREFIXES)]
    for line in others:
        if line.endswith("not found") and line.count(": ") > 1:
            return f"{line.split(': ')[-2]}, a filter of the repository, is not installed, or not on PATH"
    return next((line for line in others if line.lower().startswith("error")), others[0] if others else "")


def _has_one_of(numbers: tuple[int, ...], errors: bytes) -> bool:
    return any(os.strerror(number).encode() in errors for number in numbers)
