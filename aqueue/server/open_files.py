"""Files that this process may have open: how many, and how many runs at a time that is enough for."""

import contextlib
import os
import resource
from typing import Final, NamedTuple

_SPARE: Final = 32
"""Files that are left for all else: the database, what is read, pipes to git and to the GPUs' library."""

_ENOUGH: Final = 1 << 16
"""More than a machine has room for runs."""


class OpenFiles(NamedTuple):
    """The limits of this process.

    Attributes:
        most: how many files it may have open.
        before: the limit that it was started with, which is its commands' as well.
        runs: how many runs it can see through at a time: it holds a file open for each.
    """

    most: int
    before: int
    runs: int


def raise_limit() -> OpenFiles:
    """Allow this process as many open files as it may have, and say what that comes to."""
    before, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if highest == resource.RLIM_INFINITY else min(highest, _ENOUGH)
    if before != resource.RLIM_INFINITY and before < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, highest))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY:
        most = _ENOUGH
    return OpenFiles(most, before, max(1, most - len(_descriptors()) - _SPARE))


def close_inherited_files_on_exec() -> None:
    """Close what this process inherited, such as a lock of the shell that started it, in all that it spawns."""
    for descriptor in _descriptors():
        with contextlib.suppress(OSError):
            if descriptor > 2:
                os.set_inheritable(descriptor, False)


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208 - names only
