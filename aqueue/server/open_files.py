"""The limit on open files of this process, and the number of concurrent runs that it allows."""

import contextlib
import os
import resource
from typing import Final, NamedTuple

_SPARE: Final = 32
"""The number of files reserved for the database, files being read, and pipes to git and the GPU library."""

_ENOUGH: Final = 1 << 16
"""A number of files that is enough for all runs a machine can have."""


class OpenFiles(NamedTuple):
    """The limits of this process.

    Attributes:
        most: the maximum number of open files.
        before: the limit at the start of the process; commands keep it.
        runs: the maximum number of concurrent runs; each needs one open file.
    """

    most: int
    before: int
    runs: int


def raise_limit() -> OpenFiles:
    """Raise the limit on open files as far as allowed, and return the limits."""
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
    """Keep child processes from inheriting files that this process inherited, such as a lock of its shell."""
    for descriptor in _descriptors():
        with contextlib.suppress(OSError):
            if descriptor > 2:
                os.set_inheritable(descriptor, False)


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208 - names only
