"""Change hints from the folder, its sub-folders and the bell."""

import time
from collections.abc import Callable, Collection
from typing import Final, Self

import anyio
from watchfiles import Change
from watchfiles.main import FileChange

from aqueue.errors import FolderError
from aqueue.folder.changes import Changes, PolledChanges, RungChanges, SteppedChanges
from aqueue.folder.layout import Folder, is_open
from aqueue.folder.targets import Targets, targets_of

_LOOK_SECONDS: Final = 2.0
_LIMITS: Final = (
    ("watch limit", "watch", "fs.inotify.max_user_watches=1048576"),
    ("Too many open files", "instance", "fs.inotify.max_user_instances=1024"),
)


class Watch:
    """Watches a folder, in an event loop; use it as a context manager.

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
        self._is_interrupted = False
        self._waiting: anyio.CancelScope | None = None
        self._watched: set[str] = set()
        self._followed: set[str] = set()
        self._targets = Targets()
        self._looked_at = 0.0
        self._changes = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._changes.close()

    def interrupt(self) -> None:
        """Make `wait` return at once; call it in the event loop."""
        self._is_interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def wait(self, seconds: float) -> set[str]:
        """Wait for changes.

        Args:
            seconds: for how long at most.

        Returns:
            the paths that appeared or changed, and those awaited that are gone; a directory stands for all that is
            in it. The folder and the bell stand for whatever changed: then it is not known, or it was interrupted.

        Raises:
            FolderError: the folder is gone.
        """
        if self._is_interrupted:
            self._is_interrupted = False
            # By now there may be a watch to be had, or a directory to which a link leads.
            is_better = isinstance(self._changes, PolledChanges) or self._lead_elsewhere()
            return self._reopen() if is_better else self._everything()
        if seconds <= 0:
            return set()
        if (self._followed != self._to_follow() or self._look_is_due()) and self._lead_elsewhere():
            return self._reopen()
        if self._targets.links:
            seconds = min(seconds, _LOOK_SECONDS)
        found: set[FileChange] | None = set()
        try:
            with anyio.move_on_after(seconds) as self._waiting:
                found = await self._changes.next()
        except OSError:
            return self._reopen()
        finally:
            self._waiting = None
        if found is not None:
            return self._paths(found)
        # A sub-folder may have come or gone, too.
        is_elsewhere = self._directories() != self._watched or self._lead_elsewhere()
        return self._reopen() if is_elsewhere else self._everything()

    def _paths(self, found: set[FileChange]) -> set[str]:
        ours = {each for each in found if self._is_ours(each[1])}
        paths = {path for kind, path in ours if kind is not Change.deleted}
        deleted = {path for kind, path in found if kind is Change.deleted}
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
        self._changes.close()
        self._changes = self._open()
        return self._everything()

    def _open(self) -> Changes:
        while True:
            self._watched = self._directories()
            self._followed = self._to_follow()
            self._targets = targets_of(self._followed, self._watched)
            # Not recursively: the folder's state changes all the time, and is nobody's business here.
            paths = [*self._watched, *self._targets.directories, str(self._folder.bell)]
            source: Changes
            try:
                source = _told(paths)
            except OSError as error:
                if not self._folder.bell.exists():
                    raise FolderError(
                        f"{self._folder.path} is gone", "nothing can be dropped there any more"
                    ) from error
                if isinstance(error, FileNotFoundError | PermissionError):
                    # A sub-folder went away just now.
                    continue
                self._say_once(error)
                source = PolledChanges(paths)
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


def _told(paths: list[str]) -> Changes:
    """Have the kernel tell of changes to these.

    Raises:
        FileNotFoundError, PermissionError: one of them is gone, or closed.
        OSError: there is no watch to be had.
    """
    try:
        return RungChanges(paths)
    except OSError:
        return SteppedChanges(paths)


def _without_watch(error: str) -> str:
    """Return what to tell a person if the folder cannot be watched."""
    instead = "the folder is looked at once a second instead"
    for sign, lacking, limit in _LIMITS:
        if sign in error:
            return f"no inotify {lacking} is left: {instead}; `sysctl {limit}` gives more"
    return f"the folder cannot be watched: {error}: {instead}"
