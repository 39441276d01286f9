"""Code as it is at this moment, kept by git: a commit of all tracked files, uncommitted edits included.

All is done on a copy of the index. In the user's repository only the object store gets something, and a ref that
is no branch, tag or stash. `checkout` gives an attempt the files of a snapshot.
"""

import contextlib
import os
import posixpath
import re
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from aqueue.errors import DISK_FULL, AqueueError, DiskFullError, SnapshotError
from aqueue.isolation.checkout import GIT, git_complaint, git_environment, tells_of_no_room
from aqueue.model.task import Isolation, Snapshot

REFS: Final = "refs/aqueue"
"""Where the refs are that keep git from clearing snapshots away."""

GIT_SECONDS: Final = 60.0
"""The time that one git command may take."""

_BETWEEN: Final = "--between"
_SUBMODULE: Final = b"160000"
_USUAL: Final = (b"H 100", b"H 120")
_ROLES: Final = ("AUTHOR", "COMMITTER")


def take(working_dir: str, isolation: Isolation, scratch: Path) -> Snapshot:
    """Make a snapshot of the code that a directory is in; the same code gives the same commit again.

    Until it is pinned, git may clear it away; by default it lets some weeks go by before it does.

    Args:
        working_dir: of the task; an absolute path.
        isolation: what an attempt will have besides.
        scratch: a directory for temporary files.

    Raises:
        SnapshotError: git does not have the code, or not all that belongs to it.
        DiskFullError: there is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="snapshot-", dir=scratch) as directory:
            code = _Code.around(working_dir, directory)
            unusual = code.unusual_entries()
            code.refuse_submodules(unusual, isolation)
            code.add_edits(unusual)
            code.refuse_pointers(isolation)
            return Snapshot(repository=code.repository, commit=code.commit(), prefix=code.prefix)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _no_room() from error
        raise SnapshotError(f"the code in {working_dir} cannot be kept: {error}") from error


def take_again(snapshot: Snapshot, isolation: Isolation, scratch: Path) -> Snapshot:
    """Return a snapshot for one more task, as it is, if an attempt will have all that belongs to its code.

    Args:
        isolation: what an attempt will have besides.
        scratch: a directory for temporary files.

    Raises:
        SnapshotError: git does not have the code any more, or not all that belongs to it.
        DiskFullError: there is no room to look at it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="snapshot-", dir=scratch) as directory:
            code = _Code.of(snapshot, directory)
            code.refuse_submodules(code.unusual_entries(), isolation)
            code.refuse_pointers(isolation)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _no_room() from error
        raise SnapshotError(f"the code in {snapshot.repository} cannot be looked at: {error}") from error
    return snapshot


def left_out(working_dir: str, isolation: Isolation, paths: Iterable[str]) -> list[str]:
    """Return those of some files that are there, but will not be in a checkout, because git does not track them.

    Args:
        working_dir: what they are relative to.
        isolation: what an attempt will have besides.

    Raises:
        SnapshotError: git cannot tell.
    """
    there = [
        path
        for path in dict.fromkeys(paths)
        if "\0" not in path
        and not os.path.isabs(path)  # noqa: PTH117 - a word of a command, hardly ever a path
        and os.path.isfile(f"{working_dir}/{path}")  # noqa: PTH113 - the same
        and not _is_brought(posixpath.normpath(path), isolation, "")
    ]
    if not there:
        return []
    asked = ("--literal-pathspecs", "-C", working_dir, "ls-files", "-z", "--others", "--", *there)
    listed = _git(working_dir, *asked)
    return [os.fsdecode(path) for path in listed.split(b"\0") if path]


def new_ref(commit: str) -> str:
    """Return a name for a ref that keeps a commit; it is like no other."""
    return f"{REFS}/{commit[:12]}-{secrets.token_hex(4)}"


def pin(repository: str, ref: str, commit: str) -> None:
    """Keep git from clearing a commit away.

    Args:
        repository: the directory in which git has it.
        ref: a name from `new_ref`.

    Raises:
        SnapshotError: it cannot be kept.
        DiskFullError: there is no room for it.
    """
    # Nobody looks at the history of such a ref.
    arguments = ("-c", "core.logAllRefUpdates=false", "update-ref", ref, commit)
    _git(repository, *arguments, variables={"GIT_DIR": repository})


def unpin(repository: str, ref: str) -> None:
    """Let git clear a commit away, unless something else keeps it; ref and repository may be gone.

    Raises:
        SnapshotError: the ref cannot be removed.
    """
    if Path(repository, "objects").is_dir():
        _git(repository, "update-ref", "-d", ref, variables={"GIT_DIR": repository})


class _Entry(NamedTuple):
    """A tracked file, as the index has it; `tag` is one letter about how git looks at it."""

    tag: str
    mode: bytes
    object_id: bytes
    stage: bytes
    path: str

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Return what `git ls-files -s -v` says of it."""
        about, _, path = line.partition(b"\t")
        tag, mode, object_id, stage = about.split()
        return cls(tag.decode(), mode, object_id, stage, os.fsdecode(path))

    @property
    def is_hidden(self) -> bool:
        """Return True if git was told not to look if it is edited."""
        return self.tag == "S" or self.tag.islower()


class _Code:
    """Code, and an index of it that all is done on.

    Attributes:
        repository: the directory in which git has it.
        prefix: the working directory, from the top; empty for the top.
    """

    def __init__(
        self, working_dir: str, repository: str, prefix: str, top: str, variables: Mapping[str, str]
    ) -> None:
        self.repository = repository
        self.prefix = prefix
        self._working_dir = working_dir
        self._top = top
        self._variables = variables

    @classmethod
    def of(cls, snapshot: Snapshot, scratch: str) -> Self:
        """Return the code of a snapshot; `scratch` is an empty directory for an index."""
        index = Path(scratch, "index")
        tree = Path(scratch, "tree")
        tree.mkdir()
        variables = {"GIT_DIR": snapshot.repository, "GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(index)}
        code = cls(snapshot.repository, snapshot.repository, snapshot.prefix, str(tree), variables)
        code._run("read-tree", "--no-recurse-submodules", snapshot.commit)
        return code

    @classmethod
    def around(cls, working_dir: str, scratch: str) -> Self:
        """Return the code that a directory is in; `scratch` is an empty directory for a copy of the index."""
        # What git does not know it repeats. Between two paths, nothing else is sure not to be part of one.
        told = _git(
            *(working_dir, "-C", working_dir, "rev-parse", "--path-format=absolute", "--show-toplevel", _BETWEEN),
            *("--git-common-dir", _BETWEEN, "--absolute-git-dir", _BETWEEN, "--git-path", "index", _BETWEEN),
            *("--is-inside-work-tree", _BETWEEN, "--show-prefix"),
        )
        paths = [os.fsdecode(path) for path in told.removesuffix(b"\n").split(f"\n{_BETWEEN}\n".encode())]
        if not paths[0].startswith("/"):
            raise SnapshotError("git is too old for `isolate: git`", "install git 2.31 or a later one")
        top, repository, git_dir, index, is_inside, prefix = paths
        if is_inside != "true":
            raise _no_files(working_dir)
        prefix = prefix.removesuffix("/")
        try:
            f"{repository}{prefix}".encode()
        except UnicodeEncodeError as error:
            raise SnapshotError(f"the path {working_dir!r} is not UTF-8", "rename the directory") from error
        copied = Path(scratch, "index")
        _copy_index(Path(index), copied)
        variables = {"GIT_DIR": git_dir, "GIT_WORK_TREE": top, "GIT_INDEX_FILE": str(copied)}
        return cls(working_dir, repository, prefix, top, variables)

    def unusual_entries(self) -> list[_Entry]:
        """Return what the index has but files that git looks at as it does by default."""
        lines = self._run("ls-files", "-s", "-v", "-z").split(b"\0")[:-1]
        return [_Entry.parse(line) for line in lines if not line.startswith(_USUAL)]

    def refuse_submodules(self, entries: list[_Entry], isolation: Isolation) -> None:
        """See to it that all submodules are brought along: a checkout has an empty directory for each."""
        for entry in entries:
            if entry.mode == _SUBMODULE and not _is_brought(entry.path, isolation, self.prefix):
                raise SnapshotError(
                    f"{self._named(entry.path)} is a submodule, and checkouts are made without submodules",
                    self._how_to_bring(entry.path),
                )

    def add_edits(self, entries: list[_Entry]) -> None:
        """Have all tracked files in the index as they are in the working tree."""
        hidden = [entry for entry in entries if entry.is_hidden]
        present = [entry for entry in hidden if os.path.lexists(Path(self._top, entry.path))]
        if present:
            # An entry that is written anew is looked at like any other.
            lines = [b"%b %b %b\t%b\0" % (*entry[1:4], os.fsencode(entry.path)) for entry in present]
            self._run("update-index", "-z", "--index-info", told=b"".join(lines))
        self._run("-c", "core.safecrlf=false", "add", "-u")

    def refuse_pointers(self, isolation: Isolation) -> None:
        """See to it that a checkout does not have pointers of Git LFS where there are to be files."""
        listed = self._run("ls-files", "-z", ":(attr:filter=lfs)").split(b"\0")[:-1]
        missing = [path for path in map(os.fsdecode, listed) if not _is_brought(path, isolation, self.prefix)]
        if not missing:
            return
        settings = dict(
            setting.partition(b"\n")[::2] for setting in self._run("config", "-z", "--list").split(b"\0")
        )
        driver = settings.get(b"filter.lfs.process") or settings.get(b"filter.lfs.smudge")
        # `git lfs install --skip-smudge` leaves pointers where they are.
        if not driver or b"--skip" in driver:
            raise SnapshotError(
                f"{self._named(missing[0])} is kept in Git LFS, and git is not set up here to fetch it from there",
                f"run `git lfs install`, or {self._how_to_bring(missing[0])}",
            )

    def commit(self) -> str:
        """Return the id of a commit of what is in the index."""
        tree = self._run("write-tree").strip()
        head, _, content = self._run("cat-file", "--batch", told=b"HEAD\n").partition(b"\n")
        parent: tuple[str, ...] = ()
        date = "0 +0000"
        # It says `missing` where there is no commit yet.
        if head.split()[1] == b"commit":
            head_id = head.split()[0].decode()
            if content.startswith(b"tree %b\n" % tree):
                return head_id
            parent = ("-p", head_id)
            committed = re.search(rb"^committer .* (\d+ [+-]\d{4})$", content, re.MULTILINE)
            date = committed[1].decode() if committed else date
        variables = {f"GIT_{role}_{what}": "aqueue" for role in _ROLES for what in ("NAME", "EMAIL")}
        variables |= {f"GIT_{role}_DATE": f"@{date}" for role in _ROLES}
        message = "aqueue: the code as it was when a run was queued"
        made = self._run("commit-tree", *parent, "-m", message, tree.decode(), variables=variables)
        return made.strip().decode()

    def _how_to_bring(self, path: str) -> str:
        """Return what to do to have a path, from the top, brought along."""
        where = "choose a `working_dir` that it is in, and " if self._named(path).startswith("../") else ""
        return f"{where}list it under `link` or `copy` of `isolate`"

    def _named(self, path: str) -> str:
        """Return a path, from the top, as it is called in the working directory."""
        return posixpath.relpath(path, self.prefix or ".")

    def _run(self, *arguments: str, told: bytes | None = None, variables: Mapping[str, str] = {}) -> bytes:
        variables = {**self._variables, **variables}
        return _git(self._working_dir, "-C", self._top, *arguments, told=told, variables=variables)


def _is_brought(path: str, isolation: Isolation, prefix: str) -> bool:
    """Return True if a path, from the top, is in what is copied or linked, which is written from `prefix` on."""
    listed = (posixpath.normpath(posixpath.join(prefix, each)) for each in isolation.copy + isolation.link)
    return any(path == each or path.startswith(each + "/") for each in listed)


def _copy_index(index: Path, copied: Path) -> None:
    with contextlib.suppress(FileNotFoundError), index.open("rb") as file:
        copied.write_bytes(file.read())
        # Its time tells git which files may have been edited after it had looked at them.
        times = os.fstat(file.fileno())
        os.utime(copied, ns=(times.st_atime_ns, times.st_mtime_ns))


def _git(where: str, *arguments: str, told: bytes | None = None, variables: Mapping[str, str] = {}) -> bytes:
    """Run git.

    Args:
        where: what it works on, for messages.
        told: what it reads from its standard input.
        variables: of its environment.

    Returns:
        what it writes to its standard output.

    Raises:
        SnapshotError: it fails, or takes too long.
        DiskFullError: there is no room for what it must write.
    """
    try:
        # What is sent to our group does not hit it, as it might leave a lock in the user's repository.
        process = subprocess.Popen(  # noqa: S603 - no shell
            [*GIT, *arguments],
            cwd="/",
            env={**git_environment(), **variables},
            stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise SnapshotError("git is not installed, or not where PATH says", "`isolate: git` needs it") from error
    with process:
        try:
            output, errors = process.communicate(told, timeout=GIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise SnapshotError(
                f"git was not done with the code in {where} after {GIT_SECONDS:g} seconds",
                "large files are better not tracked: list them under `link` of `isolate`",
            ) from error
    if process.returncode:
        raise _failure(where, errors)
    return output


def _failure(where: str, errors: bytes) -> AqueueError:
    if tells_of_no_room(errors):
        return _no_room()
    if b"not a git repository" in errors:
        return SnapshotError(
            f"{where} is in no git repository",
            "run `git init` and `git add` there, or leave `isolate` out",
        )
    if b"must be run in a work tree" in errors:
        return _no_files(where)
    return SnapshotError(
        f"git cannot keep the code in {where}: {git_complaint(errors)}", "`git status` there may tell more"
    )


def _no_files(where: str) -> SnapshotError:
    return SnapshotError(
        f"{where} is in a git repository, but not among its files", "choose a `working_dir` that has them"
    )


def _no_room() -> DiskFullError:
    return DiskFullError("the disk is full: the code cannot be kept", "make room and try again")
