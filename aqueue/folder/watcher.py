"""watchfiles behind a function that returns what has changed."""

import os
import threading
import time
from collections.abc import Iterable
from typing import Final

import watchfiles
from watchfiles.main import FileChange

_SPARE_THREADS: Final = 4


class Watcher:
    """A watchfiles watch on files and directories, not recursive.

    Args:
        step: milliseconds between two checks; changes are returned after a check that finds no new ones.
        timeout: milliseconds to wait for a change; at least 1.

    Raises:
        FileNotFoundError, PermissionError: a path is gone or may not be read.
        OSError: the system grants no watch.
    """

    def __init__(self, paths: Iterable[str], *, step: int, timeout: int) -> None:
        try:
            _check_threads()
            self._changes = watchfiles.watch(
                *paths,
                watch_filter=None,
                debounce=0,
                step=step,
                rust_timeout=timeout,
                yield_on_timeout=True,
                debug=False,
                force_polling=False,
                recursive=False,
                ignore_permission_denied=False,
            )
            # The watch begins with the first call.
            next(self._changes)
        except RuntimeError as error:
            raise OSError(str(error)) from error

    def ask(self) -> set[FileChange]:
        """Return the changes since the last call; an empty set after the timeout.

        Raises:
            OSError: a name is not UTF-8, which ends the watch.
        """
        try:
            return next(self._changes)
        except (RuntimeError, StopIteration) as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Stop watching."""
        self._changes.close()


def _check_threads() -> None:
    """Check that watchfiles can start its thread: if it cannot, it aborts the process.

    Starts several threads at once, to leave a margin for others that start threads at the same moment.

    Raises:
        RuntimeError: the system cannot start that many threads.
    """
    over = threading.Event()
    threads: list[threading.Thread] = []
    try:
        for _ in range(_SPARE_THREADS):
            thread = threading.Thread(target=over.wait)
            thread.start()
            threads.append(thread)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    # The system still counts a thread for a moment after Python has joined it.
    for thread in threads:
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):  # noqa: PTH110 - in a tight loop
            time.sleep(0)
