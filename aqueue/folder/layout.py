"""The folder: its paths, and who may write to it."""

import contextlib
import os
from collections.abc import Iterator, Sequence

from aqueue.errors import FolderError
from aqueue.folder import no_links, trust

# As in `typing`, which takes a while to import. So does pathlib, and creating a Path is slow, too: those of a
# folder are created when they are asked for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

CONFIG_NAME: "Final" = "aqueue.yaml"
SUFFIXES: "Final" = (".yaml", ".yml")
"""The suffixes of task files."""
_LIKE_CONFIG: "Final" = ("aqueue.yaml", "aqueue.yml")


class _Place:
    """A path in or around a folder, created from its text when it is first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, folder: "Folder", owner: type | None = None) -> "Path":
        path = _path(getattr(folder, self._text))
        # From now on it is found there.
        folder.__dict__[self._name] = path
        return path


class Folder:
    """The paths in and around one folder. Creating this object creates nothing on disk."""

    path = _Place("path_text")
    state = _Place("state_text")
    database = _Place("database_text")
    incoming = _Place("_incoming")
    runs = _Place("runs_text")
    servers = _Place("servers_text")
    logs = _Place("_logs")
    scratch = _Place("_scratch")
    bell = _Place("_bell")
    client_bell = _Place("_client_bell")
    orders = _Place("_orders")
    last_good = _Place("last_good_text")
    config_for_add = _Place("config_for_add_text")
    rejected = _Place("_rejected")
    config = _Place("config_text")
    parent = _Place("_parent")

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path_text = os.fspath(path)
        # Resolved, because processes of runs are recognised by this path.
        self.state_text = os.path.realpath(os.path.join(path, ".aqueue"))
        self.database_text = f"{self.state_text}/state.db"
        self.runs_text = f"{self.state_text}/runs"
        self.servers_text = f"{self.state_text}/servers"
        self.config_text = os.path.join(path, CONFIG_NAME)
        self._incoming = f"{self.state_text}/incoming"
        self._logs = f"{self.state_text}/logs"
        self._scratch = f"{self.state_text}/scratch"
        self._bell = f"{self.state_text}/bell"
        self._client_bell = f"{self.state_text}/news"
        self._orders = f"{self.state_text}/orders"
        self.last_good_text = f"{self.state_text}/{CONFIG_NAME}"
        self.config_for_add_text = f"{self.state_text}/config-for-add.json"
        self._rejected = os.path.join(path, "rejected")
        self._parent = os.path.dirname(self.path_text)

    def run_dir(self, run: int) -> "Path":
        """Return the directory for the files of a run."""
        return _path(f"{self.runs_text}/{run}")

    def make_run_dir(self, run: int) -> None:
        """Create the directory for the files of a run if it is missing. Remove a link in its place."""
        no_links.make_directory(f"{self.runs_text}/{run}")

    def file_away(self, name: str, runs: Sequence[int]) -> None:
        """Move a file from `incoming/` to the directories of its runs; remove it if it has none.

        Raises:
            OSError: the file is gone, or the disk is full.
        """
        incoming = f"{self._incoming}/{name}"
        for run in runs:
            self.make_run_dir(run)
        for run in runs[1:]:
            with contextlib.suppress(FileExistsError):
                os.link(incoming, f"{self.runs_text}/{run}/task.yaml")
        if runs:
            os.rename(incoming, f"{self.runs_text}/{runs[0]}/task.yaml")
        else:
            os.unlink(incoming)

    def attempt(self, run: int, attempt: int) -> str:
        """Return the path of an attempt's files, without suffix."""
        return f"{self.runs_text}/{run}/attempt-{attempt}"

    def log(self, run: int, attempt: int) -> "Path":
        """Return the path of an attempt's log."""
        return _path(self.attempt(run, attempt) + ".log")

    def checkout(self, run: int, attempt: int) -> "Path":
        """Return the path of an attempt's own checkout, if it has one."""
        return _path(f"{self.runs_text}/{run}/checkout-{attempt}")

    def create(self) -> None:
        """Create the folder and its state directory if they are missing.

        Raises:
            FolderError: the folder cannot be created, or others can write to it.
        """
        if not (is_text(str(self.path)) and is_text(str(self.state))):
            raise FolderError(f"the path {self.path} is not UTF-8", "rename it, or choose another with --dir")
        try:
            self._check_way(self.path_text)
            # Regardless of the umask, nobody else may write here or in a directory on the way here.
            make_directories(self.path, 0o755)
            self.check_safe()
            self.state.mkdir(mode=0o700, exist_ok=True)
            self._check_state()
            self.state.chmod(0o700)
            for directory in (self.incoming, self.runs, self.servers):
                directory.mkdir(mode=0o700, exist_ok=True)
            for file in (self.bell, self.client_bell):
                file.touch(mode=0o600)
        except OSError as error:
            raise FolderError(
                f"{self.path} cannot be used as a folder: {error.strerror}",
                "choose another with --dir, or make this one writable for you",
            ) from error

    def check(self) -> None:
        """Check that nobody else owns or can change the folder, its state, or the way to them.

        Raises:
            FolderError: somebody can; the hint says what to do.
        """
        try:
            self._check_directory(self.path_text)
            # `.aqueue` may itself be a link.
            self._check_way(os.path.join(self.path_text, ".aqueue"))
            self._check_state()
        except OSError as error:
            raise FolderError(
                f"{self.path} cannot be used: {error.strerror} ({error.filename})", "check that it is still there"
            ) from error

    def check_safe(self) -> None:
        """Check that nobody else can put files into the folder or a sub-folder, as they would be run.

        Raises:
            FolderError: somebody can; the hint is the command that fixes it.
        """
        self.check()
        for directory in self.directories():
            # It may have been removed since it was listed.
            if directory.is_dir():
                self._check_directory(str(directory))

    @staticmethod
    def _check_directory(directory: str) -> None:
        if fault := trust.fault_of(directory, os.stat(directory), directory):
            raise FolderError(*fault)

    @staticmethod
    def _check_way(path: str) -> None:
        if fault := trust.fault_on_the_way(path):
            raise FolderError(*fault)

    def _check_state(self) -> None:
        trust.check_state(self.state_text)

    def directories(self) -> "Iterator[Path]":
        """Yield all sub-folders that may contain task files, parents first."""
        waiting = [self.path]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    found = sorted(_path(entry.path) for entry in entries if self.is_sub_folder(entry.path, entry))
            except OSError:
                continue
            yield from found
            waiting.extend(found)

    def is_sub_folder(self, path: str, entry: "os.DirEntry[str] | None" = None) -> bool:
        """Return True if `path` is a directory that may contain task files."""
        if entry is not None and not entry.is_dir(follow_symlinks=False):
            return False
        name = os.path.basename(path)
        if path == self.path_text:
            return True
        if name.startswith(".") or path == self._rejected or not is_text(name):
            return False
        return entry is not None or (os.path.isdir(path) and not os.path.islink(path))

    def is_task_file(self, path: str) -> bool:
        """Return True if the path is that of a task file. Hidden, backup and swap files are not."""
        name = os.path.basename(path)
        if not name.endswith(SUFFIXES) or name.startswith((".", "#")):
            return False
        return path != self.config_text and not self.is_like_config(path)

    def is_like_config(self, path: str) -> bool:
        """Return True if a path is almost that of the configuration, such as `aqueue.yml`."""
        directory, _, name = path.rpartition("/")
        return name.lower() in _LIKE_CONFIG and name != CONFIG_NAME and directory == self.path_text

    def ring(self) -> None:
        """Wake the servers: the store has changed."""
        _touch(self._bell)

    def notify_clients(self) -> None:
        """Wake clients that wait for runs: a run has started or ended."""
        _touch(self._client_bell)


def _touch(path: str) -> None:
    # A missed wake-up is harmless: everyone who waits also checks from time to time.
    with contextlib.suppress(OSError):
        touch(path)


def touch(path: str) -> None:
    """Update the modification time of a file. Create it, readable only by this user, if it is missing.

    Raises:
        OSError: the file cannot be created.
    """
    try:
        os.utime(path)
    except OSError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _path(text: str) -> "Path":
    from pathlib import Path

    return Path(text)


def make_directories(path: "Path", mode: int) -> None:
    """Create a directory and its missing parents, none more permissive than `mode`.

    Raises:
        OSError: one of them cannot be created.
    """
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode, exist_ok=True)


def write_whole(path: "Path", content: bytes) -> None:
    """Write a file atomically, readable only by this user because it may contain secrets.

    Raises:
        OSError: the disk is full, or the file cannot be created there.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def is_open(directory: str) -> bool:
    """Return True if this user may list a directory and open its entries."""
    return os.access(directory, os.R_OK | os.X_OK)


def may_be_in_checkout(directory: str) -> bool:
    """Return False for a directory that, by its path, is in no checkout."""
    return "/checkout-" in directory


def is_text(name: str) -> bool:
    """Return True if a name is UTF-8. Other names cannot be watched, printed or stored."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def display_path(path: "str | os.PathLike[str]") -> str:
    """Return a path as people read it: relative to the current directory, if there is one."""
    try:
        return os.path.relpath(path)
    except FileNotFoundError:
        return os.fspath(path)


def printable(name: str) -> str:
    """Return a file name as printable text, even if it is not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")
