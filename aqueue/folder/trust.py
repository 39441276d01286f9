"""Checks that nobody else can change a file or a directory that aqueue relies on.

What lies in a folder is run with this user's rights. So nobody but this user, and root, may be able to change it,
nor where the path of the folder leads. One rule for directories, task files and the configuration.
"""

import contextlib
import os
import posixpath
import stat
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.errors import FolderError

_MAX_LINKS: Final = 40
"""The number of symbolic links the kernel follows on the way to a file."""

_GROUP_SECONDS: Final = 60.0
"""For how long the members of a group are taken to be the same: with a directory service, it takes long to ask."""

_ID_COUNT: Final = 1 << 32


class Fault(NamedTuple):
    """A reason not to use a file or a directory.

    Attributes:
        text: what is wrong with it.
        hint: what to do.
    """

    text: str
    hint: str


def is_foreign(status: os.stat_result) -> bool:
    """Return True if another user than this one and root owns it: the owner can always change it."""
    return status.st_uid not in (os.geteuid(), 0)


def who_can_write(status: os.stat_result) -> str:
    """Return who else can write to it by its mode, as the subject of a sentence; empty if nobody can."""
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    if status.st_mode & stat.S_IWGRP and _has_other_members(status.st_gid):
        return "a group with other members"
    return ""


def fault_of(path: str, status: os.stat_result, called: str = "it") -> Fault | None:
    """Return why a file or directory with this status is not to be used; None if only this user can change it.

    Args:
        path: for the command that mends it.
        called: how the text calls it.
    """
    if is_foreign(status):
        return Fault(f"{called} belongs to user {status.st_uid}, who could queue tasks in your name", _own(status))
    if who := who_can_write(status):
        return Fault(f"{who} can write to {called}, and so run commands in your name", _chmod(path, status))
    return None


def fault_of_task_file(path: str, status: os.stat_result) -> Fault | None:
    """Return why a task file is not to be taken as it lies there; None if only this user can change it.

    Its directory is looked at as well: sub-folders come and change while a folder is served.

    Args:
        path: where it is, perhaps a link to it.
        status: of the file itself.

    Raises:
        OSError: the directory, or what leads to the file, cannot be looked at.
    """
    if who := who_can_write(status):
        return Fault(f"{who} can write to it, and so run commands in your name", _chmod(path, status))
    directory = posixpath.dirname(path)
    fault = fault_of(directory, os.stat(directory), directory)  # noqa: PTH116 - for each file that is dropped
    return fault or (fault_on_the_way(path) if posixpath.islink(path) else None)


def fault_of_named_file(path: str, status: os.stat_result) -> Fault | None:
    """Return why a file that a person names is not to be run; None if only this user can change it.

    Its directory may be one that others put files into, such as /tmp, as long as they cannot replace this one.

    Args:
        path: where it is, from the root; perhaps a link to it.
        status: of the file itself.

    Raises:
        OSError: what leads to it cannot be looked at.
    """
    return fault_of(path, status) or fault_on_the_way(path)


def fault_of_configuration(path: str, status: os.stat_result) -> Fault | None:
    """Return why a configuration is not to be read; None if only this user can change it.

    Args:
        path: where it is, perhaps a link to it.
        status: of the file itself.

    Raises:
        OSError: what leads to it cannot be looked at.
    """
    # The way to the folder was looked at already.
    return fault_of(path, status) or (fault_on_the_way(path) if Path(path).is_symlink() else None)


def fault_on_the_way(path: str) -> Fault | None:
    """Return why somebody else can change where an absolute path leads; None if nobody can.

    Whoever can write to a directory can put something else in the place of what is in it. With the sticky bit only
    the owner of that can, as in /tmp.

    Raises:
        OSError: a directory on the way cannot be looked at; one that is not there does no harm.
    """
    for directory, entry in steps(path):
        status = _status(directory)
        if status is None:
            return None
        if is_foreign(status) and not _is_unknown(status.st_uid):
            return _replaceable(entry, f"{directory} belongs to user {status.st_uid}, who could", _own(status))
        if not (who := who_can_write(status)):
            continue
        if not status.st_mode & stat.S_ISVTX:
            return _replaceable(entry, f"{who} can write to {directory}, and so", _sticky(directory, status))
        there = _status(entry)
        if there is not None and is_foreign(there):
            return _replaceable(entry, f"{entry} belongs to user {there.st_uid}, who could", _own(there))
    return None


def fault_of_search(directory: str) -> str:
    """Return why the search for a folder goes no further up than this directory; empty if it does."""
    try:
        status = Path(directory).stat()
    except OSError as error:
        return f"{error.strerror}"
    if is_foreign(status) and not _is_unknown(status.st_uid):
        return f"it belongs to user {status.st_uid}"
    who = "" if status.st_mode & stat.S_ISVTX else who_can_write(status)
    return f"{who} can write to it" if who else ""


def check_state(state: str) -> None:
    """Refuse a directory with aqueue's own files that somebody else can change, or links and others' files in it.

    Raises:
        FolderError: with what to do.
        OSError: it cannot be looked at.
    """
    status = _status(state)
    if status is None:
        return
    _check_own(state, status, state)
    if fault := fault_of(state, status, state):
        raise FolderError(*fault)
    with os.scandir(state) as entries:
        for entry in entries:
            # SQLite's and others' come and go.
            with contextlib.suppress(FileNotFoundError):
                _check_own(entry.path, entry.stat(follow_symlinks=False), state)


def _check_own(path: str, status: os.stat_result, state: str) -> None:
    """Refuse what another user owns, and symbolic links."""
    if status.st_uid != os.geteuid():
        raise FolderError(f"{path} belongs to user {status.st_uid}", _give_back(state, status))
    if stat.S_ISLNK(status.st_mode):
        raise FolderError(
            f"{path} is a symbolic link, and aqueue follows none in there",
            "put what it leads to in its place, or remove it",
        )


def _give_back(state: str, status: os.stat_result) -> str:
    # As after a `sudo aqueue`.
    return _own(status) if status.st_uid else f"take it back: sudo chown -R {os.geteuid()} {_quoted(state)}"


def _own(status: os.stat_result) -> str:
    if os.geteuid() == 0:
        return f"run aqueue as that user, or use a folder of your own: sudo -u '#{status.st_uid}' aqueue …"
    return "use a folder of your own"


def _chmod(path: str, status: os.stat_result) -> str:
    group = "g" if status.st_mode & stat.S_IWGRP and _has_other_members(status.st_gid) else ""
    others = "o" if status.st_mode & stat.S_IWOTH else ""
    return f"chmod {group}{others}-w {_quoted(path)}"


def _quoted(path: str) -> str:
    # Imported here: most commands find nothing to complain of.
    import shlex

    return shlex.quote(path)


def _sticky(directory: str, status: os.stat_result) -> str:
    remedy = f"chmod +t {_quoted(directory)}"
    if os.geteuid() in (status.st_uid, 0):
        return remedy
    return f"use a folder elsewhere, or have the owner of that do this: {remedy}"


def _replaceable(entry: str, text: str, hint: str) -> Fault:
    return Fault(f"{text} put something else in the place of {entry}", hint)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def steps(path: str) -> Iterator[tuple[str, str]]:
    """Yield each directory on the way to an absolute path, and what is looked up in it; links are followed."""
    current, left, links = "/", path.split("/")[::-1], 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            current = posixpath.dirname(current)
            continue
        entry = posixpath.join(current, name)
        yield current, entry
        try:
            target = os.readlink(entry)  # noqa: PTH115 - a path for each step would take longer than all the rest
        except OSError:
            current = entry
            continue
        links += 1
        if links > _MAX_LINKS:
            return
        left += target.split("/")[::-1]
        if target.startswith("/"):
            current = "/"


@cache
def _unknown_user() -> int | None:
    """Return what stands for every owner that this user namespace does not know; None if it knows all."""
    try:
        known = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
        return None if known >= _ID_COUNT - 1 else int(Path("/proc/sys/kernel/overflowuid").read_text())
    except OSError:
        return None


def _is_unknown(user: int) -> bool:
    # In a container of an ordinary user, the machine's own root is such an owner, and / is root's.
    return user == _unknown_user()


def _has_other_members(group: int) -> bool:
    """Return True if anybody but this user is in the group, and where that cannot be told."""
    return _has_others(group, int(time.monotonic() / _GROUP_SECONDS))


@lru_cache
def _has_others(group: int, period: int) -> bool:  # noqa: ARG001 - what was asked in another one is asked anew
    import grp
    import pwd

    try:
        me = pwd.getpwuid(os.geteuid())
        members = set(grp.getgrgid(group).gr_mem) - {me.pw_name}
        return bool(members) or any(user.pw_gid == group and user.pw_uid != me.pw_uid for user in pwd.getpwall())
    except KeyError:
        return True
