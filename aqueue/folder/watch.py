"""Hints about changes to the folder, its sub-folders and the bell."""

import time
from collections.abc import Callable, Collection
from typing import Final, Self

import anyio
from watchfiles import Change
from watchfiles.main import FileChange

from aqueue.errors import FolderError
from aqueue.folder.changes import Changes, InotifyChanges, PolledChanges, ThreadedChanges
from aqueue.folder.layout import Folder, is_open
from aqueue.folder.targets import Targets, targets_of

_LINK_CHECK_SECONDS: Final = 2.0
_MAX_CHANGES: Final = 4096
"""The most changes that are returned one by one. With more, anything may have changed."""

_LIMITS: Final = (
    ("watch limit", "watch", "fs.inotify.max_user_watches=1048576"),
    ("Too many open files", "instance", "fs.inotify.max_user_instances=1024"),
)


class Watch:
    """A watch on a folder, in an event loop. Use it as a context manager.

    Args:
        folder: the folder to watch.
        awaited: files whose removal is reported, too, and whose links are followed, as for the configuration. The
            collection may change while the folder is watched.
        warn: is called once if the kernel grants no watch and the folder is polled instead.
    """

    def __init__(
        self, folder: Folder, awaited: Collection[str] = (), warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._awaited = awaited
        self._warn = warn
        self._has_warned = False
        self._is_interrupted = False
        self._waiting: anyio.CancelScope | None = None
        self._watched: set[str] = set()
        self._followed: set[str] = set()
        self._targets = Targets()
        self._links_checked_at = 0.0
        self._changes = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._changes.close()

    def interrupt(self) -> None:
        """Make `wait` return at once. Call it in the event loop."""
        self._is_interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def wait(self, seconds: float) -> set[str]:
        """Wait for changes.

        Args:
            seconds: the longest wait.

        Returns:
            the paths that appeared or changed, and awaited files that are gone. A directory stands for all its
            files. The folder and the bell are returned if anything may have changed, as after `interrupt`.

        Raises:
            FolderError: the folder is gone.
        """
        if self._is_interrupted:
            self._is_interrupted = False
            # By now the kernel may grant a watch, or the target directory of a link may exist.
            is_better = isinstance(self._changes, PolledChanges) or self._links_have_moved()
            return self._reopen() if is_better else self._everything()
        if seconds <= 0:
            return set()
        if (self._followed != self._to_follow() or self._link_check_is_due()) and self._links_have_moved():
            return self._reopen()
        if self._targets.links:
            seconds = min(seconds, _LINK_CHECK_SECONDS)
        found: set[FileChange] | None = set()
        try:
            with anyio.move_on_after(seconds) as self._waiting:
                found = await self._changes.next()
        except OSError:
            return self._reopen()
        finally:
            self._waiting = None
        if found is not None and len(found) <= _MAX_CHANGES:
            return self._paths(found)
        # A sub-folder may have appeared or disappeared, too.
        is_elsewhere = self._directories() != self._watched or self._links_have_moved()
        return self._reopen() if is_elsewhere else self._everything()

    def _paths(self, found: set[FileChange]) -> set[str]:
        ours = {each for each in found if self._is_ours(each[1])}
        paths = {path for kind, path in ours if kind is not Change.deleted}
        deleted = {path for kind, path in found if kind is Change.deleted}
        # If the configuration is gone, the defaults take effect.
        paths |= deleted & self._to_follow() | self._targets.affected([path for _, path in found])
        is_less = not deleted.isdisjoint(self._watched | self._targets.directories)
        is_elsewhere = not paths.isdisjoint(self._followed) and self._links_have_moved()
        if is_less or is_elsewhere or any(map(self._folder.is_sub_folder, paths)):
            # Neither the old nor the new watch sees changes in between.
            paths |= self._reopen()
        return paths

    def _is_ours(self, path: str) -> bool:
        """Return True if a path is in the folder, not in a directory watched only for the sake of a link."""
        return not self._targets.is_foreign(path) or path in self._watched or path == str(self._folder.bell)

    def _to_follow(self) -> set[str]:
        return {str(self._folder.config), *self._awaited}

    def _link_check_is_due(self) -> bool:
        """Return True if links are due for a check: no event reports a new directory on their way."""
        return bool(self._targets.links) and time.monotonic() >= self._links_checked_at + _LINK_CHECK_SECONDS

    def _links_have_moved(self) -> bool:
        """Return True if links lead elsewhere than at the last check."""
        self._links_checked_at = time.monotonic()
        self._followed = self._to_follow()
        return targets_of(self._followed, self._watched) != self._targets

    def _everything(self) -> set[str]:
        return {str(self._folder.path), str(self._folder.bell)}

    def _reopen(self) -> set[str]:
        """Watch the current sub-folders, and return everything that may have changed meanwhile."""
        self._changes.close()
        self._changes = self._open()
        return self._everything()

    def _open(self) -> Changes:
        while True:
            self._watched = self._directories()
            self._followed = self._to_follow()
            self._targets = targets_of(self._followed, self._watched)
            # Not recursive, because the state directory changes all the time.
            paths = [*self._watched, *self._targets.directories, str(self._folder.bell)]
            source: Changes
            try:
                source = _open_changes(paths)
            except OSError as error:
                if not self._folder.bell.exists():
                    raise FolderError(
                        f"{self._folder.path} is gone", "nothing can be dropped there any more"
                    ) from error
                if isinstance(error, FileNotFoundError | PermissionError):
                    # A sub-folder has just disappeared.
                    continue
                self._warn_once(error)
                source = PolledChanges(paths)
            if self._directories() <= self._watched and not self._links_have_moved():
                return source
            # A sub-folder or link appeared just before the watch began, so no event would report it.
            source.close()

    def _warn_once(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(_without_watch(str(error)))

    def _directories(self) -> set[str]:
        directories = map(str, (self._folder.path, *self._folder.directories()))
        return {path for path in directories if is_open(path)}


def _open_changes(paths: list[str]) -> Changes:
    """Watch paths for changes.

    Raises:
        FileNotFoundError, PermissionError: a path is gone or may not be read.
        OSError: the system grants no watch.
    """
    try:
        return InotifyChanges(paths)
    except OSError:
        return ThreadedChanges(paths)


def _without_watch(error: str) -> str:
    """Return the warning that the folder cannot be watched."""
    instead = "the folder is checked once a second instead"
    for sign, lacking, limit in _LIMITS:
        if sign in error:
            return f"no inotify {lacking} is left: {instead}; `sysctl {limit}` gives more"
    return f"the folder cannot be watched: {error}: {instead}"
