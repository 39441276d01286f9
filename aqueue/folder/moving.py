"""Moving a file without replacing another."""

import errno
import os
from pathlib import Path

from aqueue.errors import DISK_FULL


def move_to_free_place(path: Path, place: Path) -> None:
    """Move a file to a path that is free.

    Raises:
        FileExistsError: the path is taken.
    """
    try:
        os.link(path, place, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOENT, *DISK_FULL):
            raise
        # This file system has no hard links.
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from None
        path.rename(place)
    else:
        path.unlink()
