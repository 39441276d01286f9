"""The logs of servers in the background."""

import math
from collections.abc import Container

from aqueue.folder.layout import Folder


def remove_old(
    folder: Folder, in_use: Container[str], *, before: float = -math.inf, most: float = math.inf
) -> None:
    """Remove old logs.

    Args:
        in_use: the paths of logs that stay.
        before: remove those that were not written to since this time.
        most: the number of logs, besides those in use, to keep at most: the newest.
    """
    written = []
    for path in folder.logs.glob("*.log"):
        try:
            written.append((path.stat().st_mtime, path))
        except FileNotFoundError:
            # Another server has removed it meanwhile.
            continue
    for number, (moment, path) in enumerate(sorted(written, reverse=True)):
        if (moment < before or number >= most) and str(path) not in in_use:
            path.unlink(missing_ok=True)
