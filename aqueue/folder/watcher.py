"""watchfiles, as something to be asked what has changed."""

import os
import threading
import time
from collections.abc import Iterable
from typing import Final

import watchfiles
from watchfiles.main import FileChange

_SPARE_THREADS: Final = 4


class Watcher:
    """What watchfiles knows of changes to some files, or in some directories, but not in what lies below these.

    Args:
        step: milliseconds between two looks at what is known: it is told at the first that shows no more than the
            one before.
        timeout: milliseconds after which it says that nothing has changed; at least 1.

    Raises:
        FileNotFoundError, PermissionError: one of the paths is gone, or closed.
        OSError: there is no watch to be had.
    """

    def __init__(self, paths: Iterable[str], *, step: int, timeout: int) -> None:
        try:
            _have_threads()
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
            # It watches from the first question on.
            next(self._changes)
        except RuntimeError as error:
            raise OSError(str(error)) from error

    def ask(self) -> set[FileChange]:
        """Return what has changed since it was asked last; nothing after the timeout.

        Raises:
            OSError: it has come upon a name that is not UTF-8, and is over.
        """
        try:
            return next(self._changes)
        except (RuntimeError, StopIteration) as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Stop watching."""
        self._changes.close()


def _have_threads() -> None:
    """Make sure that watchfiles can start its thread just now: where it cannot, it ends the process.

    More threads than that one are started together, so that whoever else takes one in this instant leaves enough.

    Raises:
        RuntimeError: there are not so many to be had.
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
    # Python has joined a thread before the system has counted it out.
    for thread in threads:
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):  # noqa: PTH110 - in a tight loop
            time.sleep(0)
