"""Change hints from the folder, its sub-folders and the bell."""

import threading
import time
from collections.abc import Callable, Collection
from typing import Final, Self

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from aqueue.errors import FolderError
from aqueue.folder import Folder, is_open

_SHORTEST_STEP: Final = 0.001
_LONGEST_STEP: Final = 0.025
_SHARE: Final = 0.005
_DELETED: Final = 3


class Watch:
    """Watches a folder from one thread; use it as a context manager.

    Args:
        folder: to watch.
        awaited: files whose end is of interest, too, as it is at the time.
    """

    def __init__(self, folder: Folder, awaited: Collection[str] = ()) -> None:
        self._folder = folder
        self._awaited = awaited
        self._pace = _Pace()
        self._watched: set[str] = set()
        self._notify = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._notify.close()

    def interrupt(self) -> None:
        """Make `wait` return soon; from any thread."""
        self._pace.interrupted.set()

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
        if seconds <= 0:
            return set()
        try:
            found = self._pace.watch(self._notify, seconds)
        except WatchfilesRustInternalError:
            # A name that is not UTF-8. What else has changed is not known.
            self._reopen()
            return {str(self._folder.path)}
        if isinstance(found, set):
            return self._paths(found)
        if found == "timeout":
            return set()
        self._pace.interrupted.clear()
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
        return {path for path in directories if is_open(path)}


def watch_files(paths: list[str], timeout: float) -> Callable[[], None]:
    """Watch a few files for changes.

    Args:
        paths: files that exist.
        timeout: the longest wait, in seconds: a change that was missed is noticed then.

    Returns:
        a function that waits for the next change since it was called last.
    """
    notify = _notify(paths)
    pace = _Pace()

    def wait() -> None:
        if pace.watch(notify, timeout) == "signal":
            # watchfiles has caught what Ctrl-C raised.
            raise KeyboardInterrupt

    return wait


class _Pace:
    """How often watchfiles looks for changes: an event that it asks before each look whether to stop looking.

    It does not wait for a change, it looks for one once in a step: the longer the step, the later a change is
    seen, and the less it costs to wait. As a change seldom comes alone, the step is a share of the time since the
    last one: 1 ms in a tight loop, 5 ms after a second, and at most 25 ms, where waiting takes 0.4 % of a core.

    By itself watchfiles sleeps for a step of the same length before each look, and reports what it saw only if
    another look, a step later, shows no more. Here that other look comes at once, so that a change is known half a
    step after it happened instead of one and a half.
    """

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self._changed_at = time.monotonic()
        self._looks_again = False

    def watch(self, notify: RustNotify, seconds: float) -> set[tuple[int, str]] | str:
        """Look until there are changes, until it is interrupted, or for so many seconds; as `RustNotify.watch`."""
        self._looks_again = False
        found = notify.watch(0, 0, max(int(seconds * 1000), 1), self)
        if isinstance(found, set):
            self._changed_at = time.monotonic()
        return found

    def is_set(self) -> bool:
        """Whether to stop looking; takes as long as the step lasts."""
        if not self._looks_again:
            since = time.monotonic() - self._changed_at
            time.sleep(min(max(since * _SHARE, _SHORTEST_STEP), _LONGEST_STEP))
        self._looks_again = not self._looks_again
        return self.interrupted.is_set()


def _notify(paths: list[str]) -> RustNotify:
    return RustNotify(
        paths, debug=False, force_polling=False, poll_delay_ms=0, recursive=False, ignore_permission_denied=False
    )
