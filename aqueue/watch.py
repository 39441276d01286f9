"""Change hints from the folder, its sub-folders and the bell."""

import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Final, Self

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from aqueue.errors import FolderError
from aqueue.folder import Folder

HOT_SECONDS: Final = 3.0
"""How long after a change the next one is expected soon."""

_HOT_STEP: Final = 1
_IDLE_STEP: Final = 8
_DELETED: Final = 3


class Watch:
    """Watches a folder from one thread; use it as a context manager.

    watchfiles looks for changes once in a step, and reports one a step after it saw it. A step of 1 ms reports
    within 2 ms but costs 1.5 % of a core, one of 8 ms costs a fifth of that: so the step is short only for
    `HOT_SECONDS` after a change.

    Args:
        folder: to watch.
        awaited: files whose end is of interest, too, as it is at the time.
    """

    def __init__(self, folder: Folder, awaited: Collection[str] = ()) -> None:
        self._folder = folder
        self._awaited = awaited
        self._interrupted = threading.Event()
        self._hot_until = 0.0
        self._watched: set[str] = set()
        self._notify = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._notify.close()

    def interrupt(self) -> None:
        """Make `wait` return soon; from any thread."""
        self._interrupted.set()

    def wait(self, seconds: float) -> set[str]:
        """Wait for changes.

        Args:
            seconds: for how long at most.

        Returns:
            the paths that appeared or changed, and those awaited that are gone; a directory stands for all that is
            in it. When it was interrupted, that is the folder itself: whatever changed meanwhile is not known.

        Raises:
            FolderError: the folder is gone, or cannot be watched.
        """
        deadline = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            hot = now < self._hot_until
            until = min(deadline, self._hot_until) if hot else deadline
            if until <= now:
                return set()
            step = _HOT_STEP if hot else _IDLE_STEP
            try:
                found = self._notify.watch(0, step, max(int((until - now) * 1000), 1), self._interrupted)
            except WatchfilesRustInternalError:
                # A name that is not UTF-8. What else has changed is not known.
                self._reopen()
                return {str(self._folder.path)}
            if isinstance(found, set):
                self._hot_until = time.monotonic() + HOT_SECONDS
                return self._paths(found)
            if found != "timeout":
                self._interrupted.clear()
                return {str(self._folder.path)}

    def _paths(self, found: set[tuple[int, str]]) -> set[str]:
        paths = {path for kind, path in found if kind != _DELETED}
        deleted = {path for kind, path in found if kind == _DELETED}
        # Without it, another configuration is in force.
        paths |= {path for path in deleted if path in self._awaited or path == str(self._folder.config)}
        if any(map(self._folder.is_sub_folder, paths)) or not self._watched.isdisjoint(deleted):
            self._reopen()
            # What happened in between was seen by neither.
            paths.add(str(self._folder.path))
        return paths

    def _reopen(self) -> None:
        self._notify.close()
        self._notify = self._open()

    def _open(self) -> RustNotify:
        while True:
            self._watched = self._directories()
            try:
                # Not recursively: the folder's state changes all the time, and is nobody's business here.
                notify = _notify([*self._watched, str(self._folder.bell)])
            except (FileNotFoundError, PermissionError) as error:
                if not self._folder.bell.exists():
                    raise FolderError(
                        f"{self._folder.path} is gone", "nothing can be dropped there any more"
                    ) from error
                # A sub-folder went away just now.
                continue
            except OSError as error:
                raise FolderError(
                    f"{self._folder.path} cannot be watched: {error}",
                    "if the limit of inotify is reached, raise it: sysctl fs.inotify.max_user_watches=1048576",
                ) from error
            if self._directories() <= self._watched:
                return notify
            # A sub-folder came just before its parent was watched, so nobody would ever tell of it.
            notify.close()

    def _directories(self) -> set[str]:
        directories = map(str, (self._folder.path, *self._folder.directories()))
        return {path for path in directories if os.access(path, os.R_OK | os.X_OK)}


def watch_files(paths: list[str], timeout: float) -> Callable[[], None]:
    """Watch a few files for changes.

    Args:
        paths: files that exist.
        timeout: the longest wait, in seconds: a change that was missed is noticed then.

    Returns:
        a function that waits for the next change since it was called last.
    """
    notify = _notify(paths)

    def wait() -> None:
        if notify.watch(0, _IDLE_STEP, int(timeout * 1000), None) == "signal":
            # watchfiles has caught what Ctrl-C raised.
            raise KeyboardInterrupt

    return wait


def _notify(paths: list[str]) -> RustNotify:
    return RustNotify(
        paths, debug=False, force_polling=False, poll_delay_ms=0, recursive=False, ignore_permission_denied=False
    )
