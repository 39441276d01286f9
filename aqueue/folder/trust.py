"""Checks that nobody else can change a file or directory that aqueue relies on.

Task files run with this user's rights. So only this user and root may be able to change them, or where the path of
the folder leads. The same rule holds for directories, task files and the configuration.
"""

import contextlib
import os
import posixpath
import stat
import time
from collections import namedtuple
from collections.abc import Iterator
from functools import cache, lru_cache

from aqueue.errors import FolderError

# As in `typing`, which takes a while to import: every command checks the folder first.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_MAX_LINKS: "Final" = 40
"""The most symbolic links that the kernel follows on the way to a file."""

_GROUP_SECONDS: "Final" = 60.0
"""Seconds for which the members of a group are cached, because a directory service can be slow."""

_ID_COUNT: "Final" = 1 << 32


class Fault(namedtuple("Fault", ("text", "hint"))):  # noqa: PYI024 - `typing` takes a while to import
    """A reason not to use a file or a directory.

    Attributes:
        text: what is wrong with it.
        hint: what to do.
    """

    __slots__ = ()
    text: str
    hint: str


def is_foreign(status: os.stat_result) -> bool:
    """Return True if another user, except root, owns it: an owner can always change it."""
    return status.st_uid not in (os.geteuid(), 0)


def who_can_write(status: os.stat_result) -> str:
    """Return who else its mode lets write to it, as the subject of a sentence; empty if nobody."""
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    if status.st_mode & stat.S_IWGRP and _has_other_members(status.st_gid):
        return "a group with other members"
    return ""


def fault_of(path: str, status: os.stat_result, called: str = "it") -> Fault | None:
    """Return why a file or directory is unsafe to use; None if only this user can change it.

    Args:
        path: its path, for the command that fixes it.
        called: its name in the message.
    """
    if is_foreign(status):
        return Fault(f"{called} belongs to user {status.st_uid}, who could queue tasks in your name", _own(status))
    if who := who_can_write(status):
        return Fault(f"{who} can write to {called}, and so run commands in your name", _chmod(path, status))
    return None


def fault_of_task_file(path: str, status: os.stat_result) -> Fault | None:
    """Return why a task file is unsafe to take; None if only this user can change it.

    Checks its directory too, because sub-folders come and change while a folder is served.

    Args:
        path: its path, or that of a link to it.
        status: the status of the file itself.

    Raises:
        OSError: the directory, or one on the way to the file, cannot be checked.
    """
    if who := who_can_write(status):
        return Fault(f"{who} can write to it, and so run commands in your name", _chmod(path, status))
    directory = posixpath.dirname(path)
    fault = fault_of(directory, os.stat(directory), directory)
    return fault or (fault_on_the_way(path) if posixpath.islink(path) else None)


def fault_of_named_file(path: str, status: os.stat_result) -> Fault | None:
    """Return why a file named by the user is unsafe to run; None if only this user can change it.

    Others may add files to its directory, as in /tmp, as long as they cannot replace this one.

    Args:
        path: its absolute path, or that of a link to it.
        status: the status of the file itself.

    Raises:
        OSError: a directory on the way to it cannot be checked.
    """
    return fault_of(path, status) or fault_on_the_way(path)


def fault_of_configuration(path: str, status: os.stat_result) -> Fault | None:
    """Return why a configuration is unsafe to read; None if only this user can change it.

    Args:
        path: its path, or that of a link to it.
        status: the status of the file itself.

    Raises:
        OSError: a directory on the way to it cannot be checked.
    """
    # The way to the folder was already checked.
    return fault_of(path, status) or (fault_on_the_way(path) if posixpath.islink(path) else None)


def fault_on_the_way(path: str) -> Fault | None:
    """Return how somebody else could change where an absolute path leads; None if nobody could.

    A user who can write to a directory can replace its entries; with the sticky bit, as in /tmp, only entries the
    user owns.

    Raises:
        OSError: a directory on the way cannot be checked. A missing one is fine.
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
            return _replaceable(entry, f"{who} can write to {directory}, and so could", _sticky(directory, status))
        there = _status(entry)
        if there is not None and is_foreign(there):
            return _replaceable(entry, f"{entry} belongs to user {there.st_uid}, who could", _own(there))
    return None


def fault_of_search(directory: str) -> str:
    """Return why the search for a folder stops at this directory; empty if it goes on."""
    try:
        status = os.stat(directory)
    except OSError as error:
        return f"{error.strerror}"
    if is_foreign(status) and not _is_unknown(status.st_uid):
        return f"it belongs to user {status.st_uid}"
    who = "" if status.st_mode & stat.S_ISVTX else who_can_write(status)
    return f"{who} can write to it" if who else ""


def check_state(state: str) -> None:
    """Check that nobody else can change the state directory, and that it holds no links or files of others.

    Raises:
        FolderError: the check failed; the hint says what to do.
        OSError: the directory cannot be read.
    """
    status = _status(state)
    if status is None:
        return
    _check_own(state, status, state)
    if fault := fault_of(state, status, state):
        raise FolderError(*fault)
    with os.scandir(state) as entries:
        for entry in entries:
            # Files of SQLite, among others, come and go.
            with contextlib.suppress(FileNotFoundError):
                _check_own(entry.path, entry.stat(follow_symlinks=False), state)


def _check_own(path: str, status: os.stat_result, state: str) -> None:
    """Raise FolderError for a symbolic link, or a file of another user."""
    if status.st_uid != os.geteuid():
        raise FolderError(f"{path} belongs to user {status.st_uid}", _give_back(state, status))
    if stat.S_ISLNK(status.st_mode):
        raise FolderError(
            f"{path} is a symbolic link, and aqueue follows no links there",
            "replace it with its target, or remove it",
        )


def _give_back(state: str, status: os.stat_result) -> str:
    # Root owns it after a `sudo aqueue`.
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
    # Imported here because most commands find no fault.
    import shlex

    return shlex.quote(path)


def _sticky(directory: str, status: os.stat_result) -> str:
    remedy = f"chmod +t {_quoted(directory)}"
    if os.geteuid() in (status.st_uid, 0):
        return remedy
    return f"use a folder elsewhere, or ask the owner of that directory to run: {remedy}"


def _replaceable(entry: str, text: str, hint: str) -> Fault:
    return Fault(f"{text} replace {entry}", hint)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def steps(path: str) -> Iterator[tuple[str, str]]:
    """Yield each directory on the way to an absolute path, and the path of its entry. Follow links."""
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
            target = os.readlink(entry)
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
    """Return the id that stands for users unknown to this user namespace; None if it knows all users."""
    try:
        known = sum(int(line.split()[2]) for line in _lines("/proc/self/uid_map"))
        return None if known >= _ID_COUNT - 1 else int(_lines("/proc/sys/kernel/overflowuid")[0])
    except OSError:
        return None


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.readlines()


def _is_unknown(user: int) -> bool:
    # In a rootless container, the machine's root is unknown, and it owns /.
    return user == _unknown_user()


def _has_other_members(group: int) -> bool:
    """Return True if the group has, or may have, other members than this user."""
    return _has_others(group, int(time.monotonic() / _GROUP_SECONDS))


@lru_cache
def _has_others(group: int, period: int) -> bool:  # noqa: ARG001 - limits the age of a cached answer
    import grp
    import pwd

    try:
        me = pwd.getpwuid(os.geteuid())
        members = set(grp.getgrgid(group).gr_mem) - {me.pw_name}
        return bool(members) or any(user.pw_gid == group and user.pw_uid != me.pw_uid for user in pwd.getpwall())
    except KeyError:
        return True
