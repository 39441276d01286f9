"""The folder: its paths, and who may write to it."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from aqueue.errors import FolderError
from aqueue.folder import no_links, trust

CONFIG_NAME: Final = "aqueue.yaml"
SUFFIXES: Final = (".yaml", ".yml")
"""The suffixes of task files."""
_LIKE_CONFIG: Final = ("aqueue.yaml", "aqueue.yml")


class Folder:
    """The paths in and around one folder. Creating this object creates nothing on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Resolved, because processes of runs are recognised by this path.
        self.state = Path(os.path.realpath(path / ".aqueue"))
        self.database = self.state / "state.db"
        self.incoming = self.state / "incoming"
        self.runs = self.state / "runs"
        self.servers = self.state / "servers"
        self.logs = self.state / "logs"
        self.scratch = self.state / "scratch"
        self.bell = self.state / "bell"
        self.client_bell = self.state / "news"
        self.orders = self.state / "orders"
        self.last_good = self.state / CONFIG_NAME
        self.rejected = path / "rejected"
        self.config = path / CONFIG_NAME
        self.parent = path.parent
        # Also as text: joining `Path` objects is slow.
        self.runs_text = str(self.runs)
        self._incoming = str(self.incoming)
        self._bell = str(self.bell)
        self._client_bell = str(self.client_bell)
        self._path = str(path)
        self._config = str(self.config)
        self._rejected = str(self.rejected)

    def run_dir(self, run: int) -> Path:
        """Return the directory for the files of a run."""
        return Path(f"{self.runs_text}/{run}")

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

    def log(self, run: int, attempt: int) -> Path:
        """Return the path of an attempt's log."""
        return Path(self.attempt(run, attempt) + ".log")

    def checkout(self, run: int, attempt: int) -> Path:
        """Return the path of an attempt's own checkout, if it has one."""
        return Path(f"{self.runs_text}/{run}/checkout-{attempt}")

    def create(self) -> None:
        """Create the folder and its state directory if they are missing.

        Raises:
            FolderError: the folder cannot be created, or others can write to it.
        """
        if not (is_text(str(self.path)) and is_text(str(self.state))):
            raise FolderError(f"the path {self.path} is not UTF-8", "rename it, or choose another with --dir")
        try:
            self._check_way(self.path)
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
            self._check_directory(self.path)
            # `.aqueue` may itself be a link.
            self._check_way(self.path / ".aqueue")
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
                self._check_directory(directory)

    def _check_directory(self, directory: Path) -> None:
        if fault := trust.fault_of(str(directory), directory.stat(), str(directory)):
            raise FolderError(*fault)

    @staticmethod
    def _check_way(path: Path) -> None:
        if fault := trust.fault_on_the_way(str(path)):
            raise FolderError(*fault)

    def _check_state(self) -> None:
        trust.check_state(str(self.state))

    def directories(self) -> Iterator[Path]:
        """Yield all sub-folders that may contain task files, parents first."""
        waiting = [self.path]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    found = sorted(Path(entry.path) for entry in entries if self.is_sub_folder(entry.path, entry))
            except OSError:
                continue
            yield from found
            waiting.extend(found)

    def is_sub_folder(self, path: str, entry: "os.DirEntry[str] | None" = None) -> bool:
        """Return True if `path` is a directory that may contain task files."""
        name = os.path.basename(path)
        if path == str(self.path):
            return True
        if name.startswith(".") or path == self._rejected or not is_text(name):
            return False
        if entry is not None:
            return entry.is_dir(follow_symlinks=False)
        return os.path.isdir(path) and not os.path.islink(path)

    def is_task_file(self, path: str) -> bool:
        """Return True if the path is that of a task file. Hidden, backup and swap files are not."""
        name = os.path.basename(path)
        if not name.endswith(SUFFIXES) or name.startswith((".", "#")):
            return False
        return path != self._config and not self.is_like_config(path)

    def is_like_config(self, path: str) -> bool:
        """Return True if a path is almost that of the configuration, such as `aqueue.yml`."""
        directory, _, name = path.rpartition("/")
        return name.lower() in _LIKE_CONFIG and name != CONFIG_NAME and directory == self._path

    def ring(self) -> None:
        """Wake the servers: the store has changed."""
        _touch(self._bell)

    def notify_clients(self) -> None:
        """Wake clients that wait for runs: a run has started or ended."""
        _touch(self._client_bell)


def _touch(path: str) -> None:
    # A missed wake-up is harmless: everyone who waits also checks from time to time.
    with contextlib.suppress(OSError):
        try:
            os.utime(path)
        except FileNotFoundError:
            Path(path).touch(mode=0o600)


def make_directories(path: Path, mode: int) -> None:
    """Create a directory and its missing parents, none more permissive than `mode`.

    Raises:
        OSError: one of them cannot be created.
    """
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode, exist_ok=True)


def write_whole(path: Path, content: bytes) -> None:
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


def is_text(name: str) -> bool:
    """Return True if a name is UTF-8. Other names cannot be watched, printed or stored."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """Return a file name as printable text, even if it is not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")
