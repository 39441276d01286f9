"""Copying files into and out of a checkout, and removing them."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable

from aqueue.isolation.checkout.errors import CheckoutError


def copy(source: str, target: str, is_followed: Callable[[str], bool] = lambda _: False) -> None:
    """Copy a file or directory from `source` to `target`, and replace what is there.

    Directories are merged, everything else is replaced. Modes and times are preserved. Pipes and sockets are left
    out.

    Args:
        is_followed: returns True for a symbolic link to a file that becomes a copy of the file; it stays a link
            otherwise.

    Raises:
        OSError: it cannot be copied.
    """
    mode = os.lstat(source).st_mode
    if stat.S_ISDIR(mode):
        if os.path.islink(target) or not os.path.isdir(target):
            discard(target)
            os.mkdir(target)
        for name in os.listdir(source):
            copy(os.path.join(source, name), os.path.join(target, name), is_followed)
        shutil.copystat(source, target)
    elif stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and os.path.isfile(source) and is_followed(source)):
        # A link there would be written through, and a read-only file not at all.
        discard(target)
        try:
            shutil.copy2(source, target)
        except OSError:
            # Half of a file would pass for all of it.
            discard(target)
            raise
    elif stat.S_ISLNK(mode):
        discard(target)
        os.symlink(os.readlink(source), target)


def discard(path: str) -> None:
    """Remove a file, a link or a whole directory, if it is there; the target of a link stays.

    Raises:
        OSError: it cannot be removed.
    """
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    for _ in range(2):
        # A process may still write into it; but not for long, as a directory that is gone cannot be entered.
        with contextlib.suppress(OSError):
            shutil.rmtree(path)
            return
        _make_writable(path)
    shutil.rmtree(path)


def destination(root: str, path: str) -> str:
    """Return where a path belongs in `root`, and make the directories on the way there.

    Raises:
        CheckoutError: that would be outside of `root`.
    """
    path = os.path.normpath(path)
    target = os.path.join(root, path)
    parent = os.path.dirname(target)
    if path == "." or os.path.isabs(path) or path.split("/")[0] == "..":
        raise CheckoutError(f"{path} is not a path within the working directory")
    if not is_within(os.path.realpath(parent), os.path.realpath(root)):
        raise CheckoutError(f"a symbolic link on the way to {path} leads out of {root}")
    os.makedirs(parent, exist_ok=True)
    return target


def refuse_to_copy_into_itself(source: str, root: str) -> None:
    """Raise `CheckoutError` if `source` contains the directory that it is to be copied to."""
    if is_within(os.path.realpath(root), source):
        raise CheckoutError(f"{source} cannot be copied into itself")


def is_within(path: str, directory: str) -> bool:
    """Return True if a path is the directory or below it, by their names alone."""
    return path == directory or path.startswith(directory + "/")


def _make_writable(directory: str) -> None:
    """Let the owner of a directory remove everything in it."""
    with contextlib.suppress(OSError):
        os.chmod(directory, 0o700)
        for path, names, _ in os.walk(directory):
            for name in names:
                inner = os.path.join(path, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
