"""The names of claimed files, and their move from `incoming/` to the directories of their runs.

A program that opened a file just before it was claimed may write to it afterwards. So the name of a claimed file
has a digest of the content that was read. A file that differs goes back into the folder as a new one, and the runs
keep what was read.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import msgspec

from aqueue.folder.layout import Folder, make_directories, write_whole
from aqueue.folder.moving import move_to_free_place
from aqueue.folder.settled import take_lease
from aqueue.formats.yaml_text import MAX_BYTES
from aqueue.model.basics import is_name


class Claim(msgspec.Struct, frozen=True):
    """The parts of a claimed file's name.

    Attributes:
        unique: a prefix that no other claimed file has.
        queue: the sub-folder it was dropped into, if that is a valid queue name; else empty.
        stem: its name without the suffix, if that is a valid task name; else empty.
        digest: a hash of the content read; empty if an older aqueue claimed the file.
    """

    unique: str
    queue: str
    stem: str
    digest: str = ""

    @classmethod
    def of(cls, unique: str, place: tuple[str, str], content: bytes) -> "Claim":
        """Return the claim for a file that is about to be claimed."""
        queue, stem = (part if is_name(part) else "" for part in place)
        return cls(unique, queue, stem, _digest(content))

    @classmethod
    def named(cls, name: str) -> "Claim":
        """Parse the name of a claimed file.

        Raises:
            ValueError: it is not such a name.
        """
        unique, queue, stem, *digest = name.removesuffix(".yaml").split("~")
        if len(digest) > 1:
            raise ValueError(f"{name} is not the name of a claimed file")
        return cls(unique, queue, stem, *digest)

    @property
    def name(self) -> str:
        """Return the name of the file in `incoming/`."""
        parts = (self.unique, self.queue, self.stem, self.digest)
        return "~".join(parts if self.digest else parts[:3]) + ".yaml"

    def is_of(self, content: bytes) -> bool:
        """Return True if the content matches the digest, or there is no digest."""
        return self.digest in ("", _digest(content))


def read(path: Path) -> bytes:
    """Return the content of a claimed file.

    Raises:
        BlockingIOError: somebody is writing to it.
    """
    with _open_unwritten(path) as descriptor:
        return os.read(descriptor, MAX_BYTES + 1)


def file_away(
    folder: Folder, name: str, runs: Sequence[int], content: bytes | None = None, source: str | None = None
) -> str | None:
    """Move a claimed file to the folders of the runs that it became, if it is still what was read.

    Args:
        content: what was read, if that is known.
        source: its path within the folder before it was claimed, if that is known.

    Returns:
        where it is in the folder now, if it has been written since.

    Raises:
        BlockingIOError: somebody is writing to it.
        OSError: it is gone, or the disk is full.
    """
    path = folder.incoming / name
    with _open_unwritten(path) as descriptor:
        if Claim.named(name).is_of(os.read(descriptor, MAX_BYTES + 1)):
            folder.file_away(name, runs)
            return None
    if content is not None:
        _keep(folder, content, runs)
    return put_back(folder, name, source)


def put_back(folder: Folder, name: str, source: str | None = None) -> str:
    """Move a claimed file back into the folder.

    Args:
        source: its path within the folder before it was claimed; None for a place where it means the same.

    Returns:
        its path within the folder, with a number if its old path is taken.

    Raises:
        OSError: another server was faster, or the disk is full.
    """
    claim = Claim.named(name)
    # Of several servers that try this, one wins.
    own = folder.incoming / msgspec.structs.replace(claim, unique=os.urandom(9).hex()).name
    (folder.incoming / name).rename(own)
    place = folder.path / source if source else _place_of(folder, claim)
    make_directories(place.parent, 0o755)
    for number in count(2):
        try:
            move_to_free_place(own, place)
        except FileExistsError:
            place = place.with_name(f"{place.stem.removesuffix(f'-{number - 1}')}-{number}{place.suffix}")
        else:
            break
    return os.path.relpath(place, folder.path)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@contextlib.contextmanager
def _open_unwritten(path: Path) -> Iterator[int]:
    """Open a claimed file so that nobody can write to it meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if take_lease(descriptor) is False:
            raise BlockingIOError(errno.EAGAIN, "somebody is writing to it", str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def _keep(folder: Folder, content: bytes, runs: Sequence[int]) -> None:
    """Write what was read to the folders of the runs that it became."""
    for run in runs:
        folder.make_run_dir(run)
        write_whole(folder.run_dir(run) / "task.yaml", content)


def _place_of(folder: Folder, claim: Claim) -> Path:
    """Return a path in the folder where a file has the same default queue and name as before."""
    directory = folder.path
    if claim.queue:
        named = (each for each in folder.directories() if each.name == claim.queue)
        directory = next(named, folder.path / claim.queue)
    # A name with a blank is no task name, just as the original was not.
    return directory / f"{claim.stem or 'unnamed file'}.yaml"
