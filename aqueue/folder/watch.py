"""Change hints from the folder, its sub-folders and the bell."""

import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Final, Self

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from aqueue.errors import FolderError
from aqueue.folder.layout import Folder, is_open
from aqueue.folder.polling import Poll
from aqueue.folder.targets import Targets, targets_of

_SHORTEST_STEP: Final = 0.001
_LONGEST_STEP: Final = 0.025
_SHARE: Final = 0.005
_DELETED: Final = 3
_LOOK_SECONDS: Final = 2.0
_SPARE_THREADS: Final = 4
_LIMITS: Final = (
    ("watch limit", "watch", "fs.inotify.max_user_watches=1048576"),
    ("Too many open files", "instance", "fs.inotify.max_user_instances=1024"),
)


class Watch:
    """Watches a folder from one thread; use it as a context manager.

    Args:
        folder: to watch.
        awaited: files whose end is of interest, too, as it is at the time, and so is what they lead to if they are
            links; as with the configuration.
        warn: is told, once, if the kernel gives out no watch, so that the folder is looked at once a second.
    """

    def __init__(
        self, folder: Folder, awaited: Collection[str] = (), warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._awaited = awaited
        self._warn = warn
        self._has_warned = False
        self._pace = _Pace()
        self._watched: set[str] = set()
        self._followed: set[str] = set()
        self._targets = Targets()
        self._looked_at = 0.0
        self._source = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def interrupt(self) -> None:
        """Make `wait` return soon; from any thread."""
        self._pace.interrupted.set()

    def wait(self, seconds: float) -> set[str]:
        """Wait for changes.

        Args:
            seconds: for how long at most.

        Returns:
            the paths that appeared or changed, and those awaited that are gone; a directory stands for all that is
            in it. When it was interrupted, those are the folder and the bell: whatever changed meanwhile is not
            known.

        Raises:
            FolderError: the folder is gone.
        """
        if seconds <= 0:
            return set()
        if (self._followed != self._to_follow() or self._look_is_due()) and self._lead_elsewhere():
            return self._reopen()
        if self._targets.links:
            seconds = min(seconds, _LOOK_SECONDS)
        try:
            found = self._pace.watch(self._source, seconds)
        except WatchfilesRustInternalError:
            # A name that is not UTF-8. What else has changed is not known.
            return self._reopen()
        if isinstance(found, set):
            return self._paths(found)
        if found == "timeout":
            return set()
        self._pace.interrupted.clear()
        # By now there may be a watch to be had, or a directory to which a link leads.
        return self._reopen() if isinstance(self._source, Poll) or self._lead_elsewhere() else self._everything()

    def _paths(self, found: set[tuple[int, str]]) -> set[str]:
        ours = {each for each in found if self._is_ours(each[1])}
        paths = {path for kind, path in ours if kind != _DELETED}
        deleted = {path for kind, path in found if kind == _DELETED}
        # Without the configuration, another one is in force.
        paths |= deleted & self._to_follow() | self._targets.affected([path for _, path in found])
        is_less = not deleted.isdisjoint(self._watched | self._targets.directories)
        is_elsewhere = not paths.isdisjoint(self._followed) and self._lead_elsewhere()
        if is_less or is_elsewhere or any(map(self._folder.is_sub_folder, paths)):
            # What happens in between is seen by neither.
            paths |= self._reopen()
        return paths

    def _is_ours(self, path: str) -> bool:
        """Return True if a path is in the folder, not in a directory that is watched only because of a link."""
        return not self._targets.is_foreign(path) or path in self._watched or path == str(self._folder.bell)

    def _to_follow(self) -> set[str]:
        return {str(self._folder.config), *self._awaited}

    def _look_is_due(self) -> bool:
        """Return True if links are to be looked at: nobody tells of a directory that comes on their way."""
        return bool(self._targets.links) and time.monotonic() >= self._looked_at + _LOOK_SECONDS

    def _lead_elsewhere(self) -> bool:
        """Return True if links do not lead any more to where they led when they were looked at last."""
        self._looked_at = time.monotonic()
        self._followed = self._to_follow()
        return targets_of(self._followed, self._watched) != self._targets

    def _everything(self) -> set[str]:
        return {str(self._folder.path), str(self._folder.bell)}

    def _reopen(self) -> set[str]:
        """Watch the sub-folders that there are now; returns what may have changed meanwhile."""
        self._source.close()
        self._source = self._open()
        return self._everything()

    def _open(self) -> RustNotify | Poll:
        while True:
            self._watched = self._directories()
            self._followed = self._to_follow()
            self._targets = targets_of(self._followed, self._watched)
            # Not recursively: the folder's state changes all the time, and is nobody's business here.
            paths = [*self._watched, *self._targets.directories, str(self._folder.bell)]
            source: RustNotify | Poll
            try:
                source = _notify(paths)
            except OSError as error:
                if not self._folder.bell.exists():
                    raise FolderError(
                        f"{self._folder.path} is gone", "nothing can be dropped there any more"
                    ) from error
                if isinstance(error, FileNotFoundError | PermissionError):
                    # A sub-folder went away just now.
                    continue
                self._say_once(error)
                source = Poll(paths)
            if self._directories() <= self._watched and not self._lead_elsewhere():
                return source
            # A sub-folder came just before its parent was watched, so nobody would ever tell of it. Or a link did.
            source.close()

    def _say_once(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(_without_watch(str(error)))

    def _directories(self) -> set[str]:
        directories = map(str, (self._folder.path, *self._folder.directories()))
        return {path for path in directories if is_open(path)}


def watch_files(paths: list[str]) -> Callable[[float], None]:
    """Watch a few files for changes; look at them once a second where the kernel gives out no watch.

    Args:
        paths: files that exist.

    Returns:
        a function that waits for the next change since it was called last, for so many seconds at most: a change
        that was missed is noticed then.
    """
    pace = _Pace()
    source = _notify_or_poll(paths)

    def wait(seconds: float) -> None:
        nonlocal source
        try:
            found = pace.watch(source, seconds)
        except WatchfilesRustInternalError:
            # A name that is not UTF-8, in one of them that is a directory.
            source = _notify_or_poll(paths)
            return
        if found == "signal":
            # watchfiles has caught what Ctrl-C raised.
            raise KeyboardInterrupt

    return wait


class _Pace:
    """The pace at which watchfiles looks for changes, as the event that it asks before each look.

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

    def watch(self, source: RustNotify | Poll, seconds: float) -> set[tuple[int, str]] | str:
        """Look until there are changes, until it is interrupted, or for so many seconds; as `RustNotify.watch`."""
        if isinstance(source, Poll):
            return source.watch(seconds, self.interrupted)
        self._looks_again = False
        found = source.watch(0, 0, max(int(seconds * 1000), 1), self)
        if isinstance(found, set):
            self._changed_at = time.monotonic()
        return found

    def is_set(self) -> bool:
        """Return True if to stop looking; takes as long as the step lasts."""
        if not self._looks_again:
            since = time.monotonic() - self._changed_at
            time.sleep(min(max(since * _SHARE, _SHORTEST_STEP), _LONGEST_STEP))
        self._looks_again = not self._looks_again
        return self.interrupted.is_set()


def _notify(paths: list[str]) -> RustNotify:
    """Have the kernel watch these.

    Raises:
        FileNotFoundError, PermissionError: one of them is gone, or closed.
        OSError: there is no watch to be had.
    """
    try:
        _have_threads()
        return RustNotify(
            paths,
            debug=False,
            force_polling=False,
            # Where the kernel has no inotify at all, watchfiles looks by itself.
            poll_delay_ms=1000,
            recursive=False,
            ignore_permission_denied=False,
        )
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _notify_or_poll(paths: list[str]) -> RustNotify | Poll:
    try:
        return _notify(paths)
    except OSError:
        return Poll(paths)


def _without_watch(error: str) -> str:
    """Return what to tell a person if the folder cannot be watched."""
    instead = "the folder is looked at once a second instead"
    for sign, lacking, limit in _LIMITS:
        if sign in error:
            return f"no inotify {lacking} is left: {instead}; `sysctl {limit}` gives more"
    return f"the folder cannot be watched: {error}: {instead}"


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
