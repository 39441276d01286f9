"""The folder: what lies where in it, and who may write to it."""

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
    """The paths in and around one folder. Nothing is made until asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Whichever way leads here: by this path, processes of runs are recognised.
        self.state = Path(os.path.realpath(path / ".aqueue"))
        self.database = self.state / "state.db"
        self.incoming = self.state / "incoming"
        self.runs = self.state / "runs"
        self.servers = self.state / "servers"
        self.logs = self.state / "logs"
        self.scratch = self.state / "scratch"
        self.bell = self.state / "bell"
        self.news = self.state / "news"
        self.orders = self.state / "orders"
        self.last_good = self.state / CONFIG_NAME
        self.rejected = path / "rejected"
        self.config = path / CONFIG_NAME
        self.parent = path.parent
        # As text too: making a path of parts takes longer than much of what is done with it.
        self.runs_text = str(self.runs)
        self._incoming = str(self.incoming)
        self._bell = str(self.bell)
        self._news = str(self.news)
        self._path = str(path)
        self._config = str(self.config)
        self._rejected = str(self.rejected)

    def run_dir(self, run: int) -> Path:
        """Return where the files of a run are."""
        return Path(f"{self.runs_text}/{run}")

    def make_run_dir(self, run: int) -> None:
        """Make the directory for the files of a run, if it is not there; a link in its place is removed."""
        no_links.make_directory(f"{self.runs_text}/{run}")

    def file_away(self, name: str, runs: Sequence[int]) -> None:
        """Move a file from `incoming/` to the folders of the runs that it became; remove it if none are left.

        Raises:
            OSError: it is gone, or the disk is full.
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
        """Return the path of an attempt's files, without their suffixes."""
        return f"{self.runs_text}/{run}/attempt-{attempt}"

    def log(self, run: int, attempt: int) -> Path:
        """Return the output of an attempt."""
        return Path(self.attempt(run, attempt) + ".log")

    def checkout(self, run: int, attempt: int) -> Path:
        """Return the checkout in which an attempt runs, if it has one of its own."""
        return Path(f"{self.runs_text}/{run}/checkout-{attempt}")

    def create(self) -> None:
        """Make the folder and what it needs, as far as it is not there.

        Raises:
            FolderError: it cannot be made, or others may write to it.
        """
        if not (is_text(str(self.path)) and is_text(str(self.state))):
            raise FolderError(f"the path {self.path} is not UTF-8", "rename it, or name another with --dir")
        try:
            self._check_way(self.path)
            # Whatever the umask, nobody else may write in here, nor in what leads here.
            make_directories(self.path, 0o755)
            self.check_safe()
            self.state.mkdir(mode=0o700, exist_ok=True)
            self._check_state()
            self.state.chmod(0o700)
            for directory in (self.incoming, self.runs, self.servers):
                directory.mkdir(mode=0o700, exist_ok=True)
            for file in (self.bell, self.news):
                file.touch(mode=0o600)
        except OSError as error:
            raise FolderError(
                f"{self.path} cannot be used as a folder: {error.strerror}",
                "name another with --dir, or make this one writable for you",
            ) from error

    def check(self) -> None:
        """Refuse a folder that somebody else owns or can change, its state and what leads to them included.

        Raises:
            FolderError: with what to do.
        """
        try:
            self._check_directory(self.path)
            # The state may be a link of its own.
            self._check_way(self.path / ".aqueue")
            self._check_state()
        except OSError as error:
            raise FolderError(
                f"{self.path} cannot be used: {error.strerror} ({error.filename})", "is it still there?"
            ) from error

    def check_safe(self) -> None:
        """Refuse a folder that somebody else can put files into, also into a sub-folder: they would be run.

        Raises:
            FolderError: with the command that mends it.
        """
        self.check()
        for directory in self.directories():
            # One that is gone meanwhile does no harm.
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
        """Yield the sub-folders in which task files may lie, at any depth, parents first."""
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
        """Return True if `path` is a directory in which task files may lie."""
        name = os.path.basename(path)
        if path == str(self.path):
            return True
        if name.startswith(".") or path == self._rejected or not is_text(name):
            return False
        if entry is not None:
            return entry.is_dir(follow_symlinks=False)
        return os.path.isdir(path) and not os.path.islink(path)

    def is_task_file(self, path: str) -> bool:
        """Return True if a file of this path would be a task file; hidden, backup and swap files are none."""
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

    def tell(self) -> None:
        """Wake those who wait for a run: something has ended or begun."""
        _touch(self._news)


def _touch(path: str) -> None:
    # A wake-up that is missed does no harm: whoever waits looks again by itself.
    with contextlib.suppress(OSError):
        try:
            os.utime(path)
        except FileNotFoundError:
            Path(path).touch(mode=0o600)


def make_directories(path: Path, mode: int) -> None:
    """Make a directory and those on the way to it that are missing, none of them more open than `mode`.

    Raises:
        OSError: one of them cannot be made.
    """
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode, exist_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as a whole, so that nobody reads half of it, for this user only: it may have secrets in it.

    Raises:
        OSError: there is no room for it, or it cannot be put there.
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
    """Return True if this user may list a directory and open what is in it."""
    return os.access(directory, os.R_OK | os.X_OK)


def is_text(name: str) -> bool:
    """Return True if a name is UTF-8: others cannot be watched, printed or stored."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """Return a file's name as text, also where it is not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")
