"""The code of a repository in an index of its own, so that the user's index stays as it is."""

import contextlib
import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from aqueue.errors import SnapshotError
from aqueue.isolation import git
from aqueue.model.task import Snapshot

_SEPARATOR: Final = "--between"
_SUBMODULE: Final = b"160000"
_USUAL: Final = (b"H 100", b"H 120")
_ROLES: Final = ("AUTHOR", "COMMITTER")


class Entry(NamedTuple):
    """One tracked path in the index; `tag` is the letter by which git says how it treats the file."""

    tag: str
    mode: bytes
    object_id: bytes
    stage: bytes
    path: str

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Return the entry in a line of `git ls-files -s -v`."""
        attributes, _, path = line.partition(b"\t")
        tag, mode, object_id, stage = attributes.split()
        return cls(tag.decode(), mode, object_id, stage, os.fsdecode(path))

    @property
    def is_hidden(self) -> bool:
        """Return True if git is told to ignore edits of the file."""
        return self.tag == "S" or self.tag.islower()

    @property
    def is_submodule(self) -> bool:
        """Return True if it is a submodule."""
        return self.mode == _SUBMODULE


class CodeIndex:
    """The index of the code that a directory is in, or of a snapshot.

    Attributes:
        repository: git's directory of the repository.
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
    def of_snapshot(cls, snapshot: Snapshot, scratch: str) -> Self:
        """Return the index of a snapshot; `scratch` is an empty directory for it."""
        index = Path(scratch, "index")
        tree = Path(scratch, "tree")
        tree.mkdir()
        variables = {"GIT_DIR": snapshot.repository, "GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(index)}
        code = cls(snapshot.repository, snapshot.repository, snapshot.prefix, str(tree), variables)
        code.run("read-tree", "--no-recurse-submodules", snapshot.commit)
        return code

    @classmethod
    def of_directory(cls, working_dir: str, scratch: str) -> Self:
        """Return a copy of the index for the code around a directory; `scratch` is an empty directory for it."""
        # Git prints an unknown option as it is. Any other separator could be part of a path.
        answer = git.run(
            *(
                working_dir,
                "-C",
                working_dir,
                "rev-parse",
                "--path-format=absolute",
                "--show-toplevel",
                _SEPARATOR,
            ),
            *("--git-common-dir", _SEPARATOR, "--absolute-git-dir", _SEPARATOR, "--git-path", "index", _SEPARATOR),
            *("--is-inside-work-tree", _SEPARATOR, "--show-prefix"),
        )
        parts = [os.fsdecode(part) for part in answer.removesuffix(b"\n").split(f"\n{_SEPARATOR}\n".encode())]
        if not parts[0].startswith("/"):
            raise SnapshotError("git is too old for `isolate: git`", "install git 2.31 or a later one")
        top, repository, git_dir, index, is_inside, prefix = parts
        if is_inside != "true":
            raise git.not_a_working_tree(working_dir)
        prefix = prefix.removesuffix("/")
        try:
            f"{repository}{prefix}".encode()
        except UnicodeEncodeError as error:
            raise SnapshotError(f"the path {working_dir!r} is not UTF-8", "rename the directory") from error
        copied = Path(scratch, "index")
        _copy_index(Path(index), copied)
        variables = {"GIT_DIR": git_dir, "GIT_WORK_TREE": top, "GIT_INDEX_FILE": str(copied)}
        return cls(working_dir, repository, prefix, top, variables)

    def unusual_entries(self) -> list[Entry]:
        """Return submodules, and all else that is not a file or link that git treats in the default way."""
        lines = self.run("ls-files", "-s", "-v", "-z").split(b"\0")[:-1]
        return [Entry.parse(line) for line in lines if not line.startswith(_USUAL)]

    def add_edits(self, entries: list[Entry]) -> None:
        """Add the edits of all tracked files; `entries` are the unusual ones."""
        hidden = [entry for entry in entries if entry.is_hidden]
        present = [entry for entry in hidden if os.path.lexists(Path(self._top, entry.path))]
        if present:
            # An entry that is written anew is treated in the default way.
            lines = [b"%b %b %b\t%b\0" % (*entry[1:4], os.fsencode(entry.path)) for entry in present]
            self.run("update-index", "-z", "--index-info", standard_input=b"".join(lines))
        self.run("-c", "core.safecrlf=false", "add", "-u")

    def commit(self) -> str:
        """Return the id of a commit of the index: HEAD if it has the same files, else a new one."""
        tree = self.run("write-tree").strip()
        head, _, content = self.run("cat-file", "--batch", standard_input=b"HEAD\n").partition(b"\n")
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
        variables = {f"GIT_{role}_{key}": "aqueue" for role in _ROLES for key in ("NAME", "EMAIL")}
        variables |= {f"GIT_{role}_DATE": f"@{date}" for role in _ROLES}
        message = "aqueue: the code as it was when a run was queued"
        commit = self.run("commit-tree", *parent, "-m", message, tree.decode(), variables=variables)
        return commit.strip().decode()

    def relative(self, path: str) -> str:
        """Return a path, given from the top, as seen from the working directory."""
        return posixpath.relpath(path, self.prefix or ".")

    def run(
        self, *arguments: str, standard_input: bytes | None = None, variables: Mapping[str, str] = {}
    ) -> bytes:
        """Run git on this index; see `git.run`."""
        variables = {**self._variables, **variables}
        return git.run(
            *(self._working_dir, "-C", self._top, *arguments), standard_input=standard_input, variables=variables
        )


def _copy_index(index: Path, copied: Path) -> None:
    with contextlib.suppress(FileNotFoundError), index.open("rb") as file:
        copied.write_bytes(file.read())
        # By its time git knows which files may have been edited after it last read them.
        times = os.fstat(file.fileno())
        os.utime(copied, ns=(times.st_atime_ns, times.st_mtime_ns))
